import assert from 'node:assert/strict';
import fc from 'fast-check';
import { windowsOf } from '../../../src/network/windows.ts';

const ids = (length: number) => Int32Array.from({ length }, (_, k) => k + 10);
const cut = (length: number, options: Partial<Parameters<typeof windowsOf>[1]> = {}) =>
  windowsOf(ids(length), { subject: 'a.txt', modelContext: 4096, ...options });

describe('windows of a text', () => {
  it('follow each other without overlap, and what is left is dropped', () => {
    const { windows, context, dropped } = cut(11, { context: 4 });
    assert.deepEqual(
      windows.map((window) => [...window]),
      [
        [10, 11, 12, 13],
        [14, 15, 16, 17],
      ],
    );
    assert.deepEqual([context, dropped], [4, 3]);
  });

  it('begin with the start token, which counts as one of their tokens', () => {
    const { windows, dropped } = cut(7, { context: 4, start: 1 });
    assert.deepEqual(
      windows.map((window) => [...window]),
      [
        [1, 10, 11, 12],
        [1, 13, 14, 15],
      ],
    );
    assert.equal(dropped, 1);
  });

  it('are as long as the context of the model, 2048 tokens or what is allowed, whichever is least', () => {
    assert.equal(cut(9000).context, 2048);
    assert.equal(cut(9000, { modelContext: 512 }).context, 512);
    assert.equal(cut(9000, { tokens: 100 }).context, 100);
    assert.equal(cut(9000, { context: 4096 }).windows.length, 2);
  });

  it('take no more tokens than allowed, start tokens included', () => {
    fc.assert(
      fc.property(fc.nat(300), fc.integer({ min: 2, max: 20 }), fc.integer({ min: 20, max: 300 }), fc.boolean(), check),
    );
    function check(length: number, context: number, tokens: number, starts: boolean) {
      fc.pre(length >= context);
      const { windows, dropped } = cut(length, { context, tokens, ...(starts ? { start: 0 } : {}) });
      assert.ok(windows.length >= 1 && windows.length * context <= tokens);
      assert.ok(windows.every((window) => window.length === context));
      assert.equal(windows.flatMap((window) => [...window].slice(starts ? 1 : 0)).length + dropped, length);
    }
  });

  it('are refused with the numbers where the text, the limit or the context of the model is too short', () => {
    const refused = (run: () => unknown, found: RegExp) =>
      assert.throws(run, (error: Error & { code?: string }) => error.code === 'wrong-use' && found.test(error.message));
    refused(() => cut(0), /a\.txt: it has no tokens/);
    refused(() => cut(100), /a\.txt: it has 100 tokens, fewer than the 2048 of a window.*longer text, or shorter/);
    refused(() => cut(100, { context: 102, start: 1 }), /fewer than the 101 of a window/);
    refused(() => cut(100, { tokens: 10, context: 20 }), /10 tokens are less than a window of 20/);
    refused(() => cut(9000, { modelContext: 512, context: 513 }), /longer than the model's context of 512/);
    refused(() => cut(9000, { context: 1 }), /at least 2/);
  });
});
