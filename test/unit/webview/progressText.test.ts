import assert from 'node:assert/strict';
import type { RunState } from '../../../src/protocol/page.ts';
import { engineText, followRate, progressText } from '../../../webview/inspector/progressText.ts';

const running = (done: number): RunState => ({ status: 'running', done, total: 200, message: '', secondsLeft: 90 });

describe('progress', () => {
  it('shows the rate and the time left', () => {
    let rate = followRate(null, running(10), 1000);
    rate = followRate(rate, running(40), 6000);
    assert.equal(progressText(running(40), rate), '40 of 200 matrices · 6.0 per second · 1 min 30 s left');
  });

  it('shows slow runs as time per matrix', () => {
    const rate = followRate(followRate(null, running(0), 0), running(2), 40_000);
    assert.match(progressText(running(2), rate), /20 s each/);
  });

  it('promises nothing in the first half second, when results come from the cache', () => {
    const rate = followRate(followRate(null, running(0), 0), running(150), 300);
    assert.equal(rate?.perSecond, null);
  });

  it('counts no matrices if the file could not be read', () =>
    assert.equal(progressText({ ...running(0), status: 'failed', total: 0 }, null), 'Failed'));

  it('starts over with every run', () => {
    const first = followRate(followRate(null, running(0), 0), running(100), 10_000);
    assert.equal(followRate(first, running(1), 11_000)?.perSecond, null);
    assert.equal(followRate(first, { ...running(100), status: 'done' }, 11_000), null);
  });

  it('names the engine, its threads and why it was chosen', () => {
    const engine = { name: 'cpu', device: 'CPU', threads: 8, reason: 'no GPU adapter found' };
    assert.equal(engineText(engine), 'CPU, 8 threads: no GPU adapter found');
    assert.equal(engineText({ ...engine, threads: 1, reason: '' }), 'CPU');
  });
});
