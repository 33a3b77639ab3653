import assert from 'node:assert/strict';
import { nextTurn, yieldEvery, yieldOrCancel } from '../../../src/base/eventLoop.ts';

/** Holds the thread for some milliseconds. */
function hold(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

describe('yielding to the event loop', () => {
  it('goes on at once until the slice is over, then lets waiting work run first', async () => {
    const pause = yieldEvery(5);
    let ran = false;
    void nextTurn().then(() => {
      ran = true;
    });
    hold(6);
    await pause();
    assert.ok(ran);
    assert.equal(yieldEvery(60_000)(), undefined);
  });

  it('rejects a cancelled signal at the start and after a yield', async () => {
    assert.throws(() => yieldOrCancel(AbortSignal.abort(), 'w'), { code: 'cancelled' });
    const cancel = new AbortController();
    const pause = yieldOrCancel(cancel.signal, 'w');
    cancel.abort();
    hold(30);
    await assert.rejects(async () => pause(), { code: 'cancelled' });
  });
});
