import assert from 'node:assert/strict';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { RankscopeError } from '../../../src/base/errors.ts';
import type { PlanCalls, PlanSnapshot } from '../../../src/protocol/page.ts';
import { connectPage, type PageHandlers, servePage } from '../../../src/protocol/pageChannel.ts';
import type { Port } from '../../../src/protocol/port.ts';
import { deferred } from './deferred.ts';

const SNAPSHOT: PlanSnapshot = {
  checkpoints: [{ path: '/a', name: 'a' }],
  current: '/a',
  request: {
    budget: { kind: 'keep', value: 0.5 },
    spread: 'optimal',
    multiple: 8,
    exclude: [],
    overrides: {},
    factors: 2,
  },
  plan: null,
  error: null,
  busy: null,
  measure: { text: null, statistics: null, minutes: null, waits: false },
  canUndo: false,
  canRedo: false,
  canWrite: true,
};

const portOf = (port: MessagePort): Port => ({
  postMessage: (message) => port.postMessage(message),
  onMessage(listener) {
    port.on('message', listener);
    return { dispose: () => port.off('message', listener) };
  },
});

describe('the channel to a page', () => {
  let channel: MessageChannel;
  beforeEach(() => (channel = new MessageChannel()));
  afterEach(() => channel.port1.close());

  const host = (handlers: Partial<PageHandlers<PlanCalls>> = {}) =>
    servePage<PlanCalls, Partial<PlanSnapshot>>(portOf(channel.port1), {
      ready: async () => SNAPSHOT,
      ...handlers,
    } as PageHandlers<PlanCalls>);
  const page = (name?: string) => connectPage<PlanCalls, Partial<PlanSnapshot>>(portOf(channel.port2), name);

  it('gives a page that announces itself one snapshot', async () => {
    host();
    assert.deepEqual(await page().call('ready'), SNAPSHOT);
  });

  it('carries parameters and errors whole', async () => {
    host({
      async selectCheckpoint({ path }) {
        throw new RankscopeError('not-found', path, 'gone', 'Open it again');
      },
    });
    await assert.rejects(page().call('selectCheckpoint', { path: '/b' }), {
      code: 'not-found',
      subject: '/b',
      found: 'gone',
      remedy: 'Open it again',
    });
  });

  it('delivers updates in order to the page that listens', async () => {
    const served = host();
    const link = page();
    const seen: unknown[] = [];
    const second = new Promise<void>((resolve) => {
      link.onUpdate((update) => {
        seen.push(update);
        if (seen.length === 2) resolve();
      });
    });
    served.update({ busy: 'before anyone listens' });
    await link.call('ready');
    served.update({ busy: 'one' });
    served.update({ busy: null });
    await second;
    assert.deepEqual(seen, [{ busy: 'one' }, { busy: null }]);
  });

  it("a reloaded page never receives the old page's answers", async () => {
    const late = deferred();
    host({
      ready: () => late.promise.then(() => SNAPSHOT),
      selectCheckpoint: () => late.promise,
      reveal: async () => undefined,
    });
    // Each is its page's first call, so both carry the same number.
    const old = page('first load').call('selectCheckpoint', { path: '/late' });
    let answered = false;
    old.finally(() => (answered = true)).catch(() => undefined);
    const reloaded = page('second load');
    const ready = reloaded.call('ready');
    await reloaded.call('reveal', { name: 'w' });
    late.resolve();
    assert.deepEqual(await ready, SNAPSHOT);
    assert.equal(answered, false);
  });

  it('ignores foreign messages on the same port', async () => {
    host();
    const link = page();
    channel.port2.postMessage('hello');
    channel.port2.postMessage({ vscodeScheduleAsyncUpdate: true });
    channel.port1.postMessage(null);
    assert.deepEqual(await link.call('ready'), SNAPSHOT);
  });

  it('rejects the pending calls of a page that closes its link', async () => {
    host({ undo: () => new Promise(() => undefined) });
    const link = page();
    const call = link.call('undo');
    link.close();
    await assert.rejects(call, { code: 'engine' });
  });
});
