import assert from 'node:assert/strict';
import { RankscopeError } from '../../../src/base/errors.ts';
import type { RowSource } from '../../../src/engine/backend.ts';
import { Buffers, noticeEnd, readAhead } from '../../../src/service/rows.ts';

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

describe('reading ahead', () => {
  for (const rowsHeld of [0, 1, 4, 7, 100]) {
    it(`gives every row where ${rowsHeld} rows are held in memory`, async () => {
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

  it('begins before anyone asks, and reads what it holds once', async () => {
    const reads: number[] = [];
    const ahead = readAhead(source(reads), 1e6, new Buffers(), undefined);
    await new Promise(setImmediate);
    assert.deepEqual(reads, [0]);
    await ahead.read(0, new Float32Array(ROWS * COLS));
    assert.deepEqual(reads, [0]);
  });

  it('after its memory is given back, rows come from the source, and the memory serves the next', async () => {
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
    const memory = buffers.take(ROWS * COLS);
    assert.deepEqual(memory, EXPECTED);
    assert.notEqual(buffers.take(ROWS * COLS), memory);
  });

  it('keeps a failure for the first read', async () => {
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

it('the end of a source is noticed with its last row, not before', async () => {
  let ended = 0;
  const noticed = noticeEnd(source(), () => ended++);
  await noticed.read(0, new Float32Array(4 * COLS));
  assert.equal(ended, 0);
  await noticed.read(4, new Float32Array(3 * COLS));
  assert.equal(ended, 1);
});
