import assert from 'node:assert/strict';
import { RankscopeError } from '../../../src/base/errors.ts';
import type { RowSource } from '../../../src/devices/backend.ts';
import { Buffers, noticeEnd, readAhead } from '../../../src/service/analysis/rows.ts';

const ROWS = 7;
const COLS = 3;
const EXPECTED = Float32Array.from({ length: ROWS * COLS }, (_, i) => i);

function source(reads: number[] = []): RowSource {
  return {
    name: 'w',
    rows: ROWS,
    cols: COLS,
    async read(row, out) {
      reads.push(row);
      out.set(EXPECTED.subarray(row * COLS, row * COLS + out.length));
    },
  };
}

/** The same numbers in BF16: the upper halves of their f32. */
const CODES = new Uint8Array(Uint16Array.from(new Uint32Array(EXPECTED.slice().buffer), (bits) => bits >>> 16).buffer);

function storedSource(): RowSource {
  const read = async (row: number, out: Uint8Array) =>
    out.set(CODES.subarray(row * COLS * 2, row * COLS * 2 + out.length));
  return { ...source(), stored: { encoding: 'BF16', read } };
}

describe('reading ahead', () => {
  for (const rowsHeld of [0, 1, 4, 7, 100]) {
    it(`returns every row with ${rowsHeld} rows held in memory`, async () => {
      const ahead = readAhead(source(), rowsHeld * COLS * 4, new Buffers(), undefined);
      for (const [row, count] of [
        [0, 7],
        [0, 2],
        [3, 2],
        [6, 1],
      ] as const) {
        const out = new Float32Array(count * COLS);
        await ahead.read(row, out);
        assert.deepEqual(out, EXPECTED.slice(row * COLS, (row + count) * COLS));
      }
    });
  }

  it('starts before the first read, and reads what it holds once', async () => {
    const reads: number[] = [];
    const ahead = readAhead(source(reads), 1e6, new Buffers(), undefined);
    await new Promise(setImmediate);
    assert.deepEqual(reads, [0]);
    await ahead.read(0, new Float32Array(ROWS * COLS));
    assert.deepEqual(reads, [0]);
  });

  it('reads rows from the source after its memory was returned and reused', async () => {
    const buffers = new Buffers();
    const reads: number[] = [];
    const ahead = readAhead(source(reads), 1e6, buffers, undefined);
    await ahead.read(0, new Float32Array(COLS));
    ahead.release();
    ahead.release();
    const out = new Float32Array(2 * COLS);
    await ahead.read(3, out);
    assert.deepEqual(out, EXPECTED.slice(3 * COLS, 5 * COLS));
    assert.deepEqual(reads, [0, 3]);
    const memory = buffers.take(EXPECTED.byteLength);
    assert.deepEqual(new Float32Array(memory.buffer), EXPECTED);
    assert.notEqual(buffers.take(EXPECTED.byteLength), memory);
  });

  it('reuses its memory for the next matrix at once if it was completely filled', async () => {
    const buffers = new Buffers();
    const ahead = readAhead(source(), 1e6, buffers, undefined);
    await ahead.read(0, new Float32Array(COLS));
    ahead.release();
    assert.deepEqual(new Float32Array(buffers.take(EXPECTED.byteLength).buffer), EXPECTED);
  });

  for (const rowsHeld of [0, 1, 4, 7, 100]) {
    it(`returns stored rows unchanged with ${rowsHeld} of them held in memory`, async () => {
      const ahead = readAhead(storedSource(), rowsHeld * COLS * 2, new Buffers(), undefined);
      assert.equal(ahead.stored?.encoding, 'BF16');
      for (const [row, count] of [
        [0, 7],
        [3, 2],
        [6, 1],
      ] as const) {
        const out = new Uint8Array(count * COLS * 2);
        await ahead.stored!.read(row, out);
        assert.deepEqual(out, CODES.slice(row * COLS * 2, (row + count) * COLS * 2));
      }
      const values = new Float32Array(COLS);
      await ahead.read(2, values);
      assert.deepEqual(values, EXPECTED.slice(2 * COLS, 3 * COLS));
    });
  }

  it('reports a failure with the first read', async () => {
    const failing: RowSource = {
      ...source(),
      read: async () => {
        throw new RankscopeError('changed', 'file', 'it was replaced');
      },
    };
    const ahead = readAhead(failing, 1e6, new Buffers(), undefined);
    await new Promise(setImmediate);
    await assert.rejects(ahead.read(0, new Float32Array(COLS)), { code: 'changed' });
  });
});

it('notices the end of a source with its last row, not before', async () => {
  let ended = 0;
  const noticed = noticeEnd(source(), () => ended++);
  await noticed.read(0, new Float32Array(4 * COLS));
  assert.equal(ended, 0);
  await noticed.read(4, new Float32Array(3 * COLS));
  assert.equal(ended, 1);
  const stored = noticeEnd(storedSource(), () => ended++).stored!;
  await stored.read(0, new Uint8Array(6 * COLS * 2));
  assert.equal(ended, 1);
  await stored.read(6, new Uint8Array(COLS * 2));
  assert.equal(ended, 2);
});
