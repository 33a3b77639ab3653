import assert from 'node:assert/strict';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { downloadedRows, uploadedRows, withProductRows } from '../../../src/spectrum/productRows.ts';
import { Scope } from '../../../src/spectrum/scope.ts';
import { type Tiling, tilesOf } from '../../../src/spectrum/tiles.ts';
import { multiply } from '../../numeric/checks.ts';
import { sourceOf } from '../../numeric/device.ts';
import { noise } from '../service/matrices.ts';

const [ROWS, COLS, RANK] = [23, 31, 4];
const whole = noise(ROWS, COLS, 1).values;
const left = noise(ROWS, RANK, 2).values;
const right = noise(RANK, COLS, 3).values;
const product = multiply(left, right, ROWS, RANK, COLS);

function tiles(tiling: Tiling): Promise<Float64Array> {
  const backend = createReferenceBackend();
  const rows = uploadedRows(sourceOf(whole, ROWS, COLS));
  return Scope.run(backend, (scope) => tilesOf(scope, rows, tiling, undefined));
}

describe('tiles of a matrix', () => {
  it('have the root of the mean square of their entries, those at the edges of fewer', async () => {
    const tiling = { row: 2, col: 3, rows: 20, cols: 26, tileRows: 6, tileCols: 5 };
    const found = await tiles(tiling);
    assert.equal(found.length, 4 * 6);
    for (const [at, value] of found.entries()) {
      const [top, left0] = [2 + 6 * Math.floor(at / 6), 3 + 5 * (at % 6)];
      let [squares, count] = [0, 0];
      for (let i = top; i < Math.min(22, top + 6); i++)
        for (let j = left0; j < Math.min(29, left0 + 5); j++, count++) squares += whole[i * COLS + j]! ** 2;
      assert.ok(Math.abs(value - Math.sqrt(squares / count)) < 1e-6, `tile ${at}`);
    }
  });

  it('of a single entry are the entry with its sign', async () => {
    const found = await tiles({ row: 5, col: 7, rows: 3, cols: 4, tileRows: 1, tileCols: 1 });
    const expected = [5, 6, 7].flatMap((i) => [7, 8, 9, 10].map((j) => whole[i * COLS + j]!));
    assert.deepEqual(Array.from(found), expected);
    assert.ok(expected.some((entry) => entry < 0));
  });

  it('may be a row or a column of the matrix', async () => {
    const byRow = await tiles({ row: 0, col: 0, rows: ROWS, cols: COLS, tileRows: 1, tileCols: COLS });
    for (const [i, value] of byRow.entries()) {
      const squares = whole.subarray(i * COLS, (i + 1) * COLS).reduce((sum, entry) => sum + entry * entry, 0);
      assert.ok(Math.abs(value - Math.sqrt(squares / COLS)) < 1e-6);
    }
  });
});

describe('rows of a product', () => {
  it('are those of left right, and of a matrix less them, wherever they begin', async () => {
    const backend = createReferenceBackend();
    const source = sourceOf(whole, ROWS, COLS);
    for (const from of [undefined, uploadedRows(source)])
      await withProductRows(backend, source, { left, right }, from, async (rows) => {
        const out = new Float32Array(4 * COLS);
        await downloadedRows(backend, rows).read(9, out);
        for (const [at, value] of out.entries()) {
          const entry = product[9 * COLS + at]!;
          const expected = from ? whole[9 * COLS + at]! - entry : entry;
          assert.ok(Math.abs(value - expected) < 1e-5);
        }
      });
  });
});
