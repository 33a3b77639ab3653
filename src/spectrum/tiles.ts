import { throwIfCancelled } from '../base/errors.ts';
import type { Matrix } from '../devices/backend.ts';
import type { DeviceRows } from './productRows.ts';
import { Scope } from './scope.ts';

/** A part of a matrix, in tiles of `tileRows` x `tileCols` entries; those at its far edges may have fewer. */
export interface Tiling {
  readonly row: number;
  readonly col: number;
  readonly rows: number;
  readonly cols: number;
  readonly tileRows: number;
  readonly tileCols: number;
}

/** Entries on the device at a time. */
const SLAB = 2 ** 22;

/**
 * A number for each tile, row by row: the root of the mean square of its entries, which the device reduces; or, in
 * tiles of a single entry, the entry with its sign. Entries must have squares that f32 can hold.
 * @throws RankscopeError 'too-large', 'cancelled', and what loading throws
 */
export async function tilesOf(
  scope: Scope,
  matrix: DeviceRows,
  tiling: Tiling,
  signal: AbortSignal | undefined,
): Promise<Float64Array> {
  const { backend } = scope;
  const { row, rows, cols, tileRows, tileCols } = tiling;
  const [height, width] = [Math.ceil(rows / tileRows), Math.ceil(cols / tileCols)];
  const areEntries = tileRows === 1 && tileCols === 1;
  const byColumns = areEntries ? undefined : await averaging(scope, cols, tileCols, true);
  const out = new Float64Array(height * width);
  // A slab holds whole tiles, unless one tile alone is more.
  const slabTiles = Math.max(1, Math.floor(SLAB / (tileRows * matrix.cols)));
  for (let tile = 0; tile < height; tile += slabTiles) {
    throwIfCancelled(signal, matrix.name);
    const first = tile * tileRows;
    const count = Math.min(slabTiles * tileRows, rows - first);
    const values = await Scope.run(backend, async (own) => {
      const slab = await matrix.load(own, row + first, count, signal);
      const part = await columnsOf(own, slab, tiling);
      if (!byColumns) return backend.download(part);
      await squareInPlace(own, part);
      const half = await own.allocate(count, width);
      await backend.multiply(half, part, byColumns, { signal });
      const byRows = await averaging(own, count, tileRows, false);
      const reduced = await own.allocate(byRows.rows, width);
      await backend.multiply(reduced, byRows, half, { signal });
      return (await backend.download(reduced)).map(Math.sqrt);
    });
    out.set(values, tile * width);
  }
  return out;
}

/** A copy of the columns of the tiling. */
async function columnsOf(scope: Scope, slab: Matrix, { col, cols }: Tiling): Promise<Matrix> {
  const part = await scope.allocate(slab.rows, cols);
  await scope.backend.network.pick(part, slab, { size: cols, from: col, step: slab.cols });
  return part;
}

/** x <- x^2, entry by entry: max(x, 0)^2 + max(-x, 0)^2. */
async function squareInPlace(scope: Scope, x: Matrix): Promise<void> {
  const { network } = scope.backend;
  const negative = await scope.allocate(x.rows, x.cols);
  await network.pick(negative, x, { size: x.cols, from: 0, step: x.cols });
  await network.rescale(negative, -1);
  for (const half of [x, negative]) await network.activate(half, 'squaredRelu');
  await network.add(x, negative, 1);
  scope.free(negative);
}

/** The matrix that averages stretches of `size` of `length` entries: by a product with it, or from the left. */
function averaging(scope: Scope, length: number, size: number, fromRight: boolean): Promise<Matrix> {
  const stretches = Math.ceil(length / size);
  const [rows, cols] = fromRight ? [length, stretches] : [stretches, length];
  return scope.upload(rows, cols, (out) => {
    out.fill(0);
    for (let at = 0; at < length; at++) {
      const stretch = Math.floor(at / size);
      const share = 1 / Math.min(size, length - stretch * size);
      out[fromRight ? at * stretches + stretch : stretch * length + at] = share;
    }
  });
}
