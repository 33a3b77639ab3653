import { RankscopeError } from '../../base/errors.ts';
import type { RowSource } from '../../devices/backend.ts';
import { isStored } from '../../model/matrix.ts';
import type { TrialPictureRequest, TrialPictures, TrialRegion } from '../../model/trial.ts';
import { TRIAL_LIMITS } from '../../model/trial.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { uploadedRows, withProductRows } from '../../spectrum/productRows.ts';
import { Scope } from '../../spectrum/scope.ts';
import { type Tiling, tilesOf } from '../../spectrum/tiles.ts';
import { transposeOf } from '../../spectrum/transpose.ts';
import { exactResult, matrixNamed } from '../analysis/spectra.ts';
import { type Opened, refuseChanged } from '../checkpoints/opened.ts';
import { checkTrial } from './checkTrial.ts';
import { oneFactorization } from './factorizations.ts';
import { storedFactors } from './measureFactors.ts';
import type { TrialParts } from './tryMatrix.ts';

const DEFAULT_TILES = 128;

/**
 * A region of W, of an approximation W' of some rank and of W - W' in tiles, all in rows of outputs and columns of
 * inputs. The factors are those of the last trial with the same options, or are computed.
 * @throws RankscopeError 'wrong-use' for a region, rank or option out of range, and what the factorization throws
 */
export async function trialPictures(
  parts: TrialParts,
  opened: Opened,
  request: TrialPictureRequest,
  { signal, progress }: CallContext<StepProgress>,
): Promise<TrialPictures> {
  const { path, name, method, rank } = request;
  const options = checkTrial(path, { ...request, ranks: [rank], methods: [method] });
  const matrix = matrixNamed(opened, name);
  if (!isStored(matrix)) throw new RankscopeError('wrong-use', name, 'it is the update of an adapter', '');
  const [m, n] = matrix.shape;
  const region = checkRegion(name, request.region ?? { row: 0, col: 0, rows: m, cols: n }, matrix.shape);
  const [tileRows, tileCols] = tileSize(name, region, request.tiles);
  const engine = parts.devices.settle(request);
  const job = { signal, urgent: true };
  const { frobeniusNorm } = (await exactResult(parts, matrix, engine, job)).measures;
  const step = (what: string) => progress?.({ done: 0, total: 1, message: `${name}: ${what}` });
  const tiled = await parts.devices.run(engine, name, job, async (backend, letUrgent) => {
    const trial = { matrix, options, backend, store: parts.tried, signal, letUrgent, step };
    const found = await oneFactorization(trial, method, rank);
    step('pictures');
    // Squares of any entries fit into f32 once they are divided by the power of two below their norm.
    const scale = frobeniusNorm > 0 ? 2 ** -Math.floor(Math.log2(frobeniusNorm)) : 1;
    const source = scaled(matrix.source(), scale);
    const { left, right } = storedFactors(found);
    const factors = { left: left.map((entry) => entry * scale), right };
    const tiling = storedTiling(region, [tileRows, tileCols], matrix.transposed);
    const original = uploadedRows(source);
    const values = (of: typeof original) => Scope.run(backend, (scope) => tilesOf(scope, of, tiling, signal));
    const all = [
      await values(original),
      await withProductRows(backend, source, factors, undefined, values),
      await withProductRows(backend, source, factors, original, values),
    ];
    const width = Math.ceil(tiling.cols / tiling.tileCols);
    return all.map((tiles) => {
      const ordered = matrix.transposed ? transposeOf(tiles, width) : tiles;
      return Array.from(ordered, (value) => value / scale);
    });
  });
  await refuseChanged(opened.checkpoint);
  const [original = [], approximation = [], residual = []] = tiled;
  const largest = tiled.reduce((most, tiles) => tiles.reduce((so, value) => Math.max(so, Math.abs(value)), most), 0);
  return {
    region,
    height: Math.ceil(region.rows / tileRows),
    width: Math.ceil(region.cols / tileCols),
    tileRows,
    tileCols,
    shows: tileRows === 1 && tileCols === 1 ? 'entry' : 'rms',
    largest,
    original,
    approximation,
    residual,
  };
}

function checkRegion(name: string, region: TrialRegion, [m, n]: readonly [number, number]): TrialRegion {
  const { row, col, rows, cols } = region;
  const inside = (from: number, count: number, length: number) =>
    Number.isSafeInteger(from) && Number.isSafeInteger(count) && from >= 0 && count >= 1 && from + count <= length;
  if (inside(row, rows, m) && inside(col, cols, n)) return { row, col, rows, cols };
  const found = `rows ${row} to ${row + rows} and columns ${col} to ${col + cols} of a ${m} x ${n} matrix`;
  throw new RankscopeError('wrong-use', name, found, 'Give a region inside the matrix');
}

/** Rows and columns of a tile, so that neither side of the region has more than this many tiles. */
function tileSize(name: string, { rows, cols }: TrialRegion, tiles = DEFAULT_TILES): readonly [number, number] {
  const [least, most] = TRIAL_LIMITS.tiles;
  if (Number.isSafeInteger(tiles) && tiles >= least && tiles <= most)
    return [Math.ceil(rows / tiles), Math.ceil(cols / tiles)];
  throw new RankscopeError('wrong-use', name, `${tiles} tiles on a side`, `Ask for ${least} to ${most}`);
}

function storedTiling(
  { row, col, rows, cols }: TrialRegion,
  [tileRows, tileCols]: readonly [number, number],
  transposed: boolean,
): Tiling {
  if (!transposed) return { row, col, rows, cols, tileRows, tileCols };
  return { row: col, col: row, rows: cols, cols: rows, tileRows: tileCols, tileCols: tileRows };
}

function scaled({ name, rows, cols, read }: RowSource, scale: number): RowSource {
  return {
    name,
    rows,
    cols,
    async read(row, out, signal) {
      await read(row, out, signal);
      if (scale !== 1) for (let i = 0; i < out.length; i++) out[i]! *= scale;
    },
  };
}
