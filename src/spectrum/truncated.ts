import { RankscopeError } from '../base/errors.ts';
import { firstTriplets, type SingularTriplets } from '../base/singularTriplets.ts';
import type { Backend, Matrix, RoutineOptions, RowSource } from '../devices/backend.ts';
import { Bidiagonalization } from './bidiagonalization.ts';
import { OVERSAMPLING, sketchSize, svdCost } from './costModel.ts';
import { loadScaled, type ScaledRows, subProgress, uploadRows } from './load.ts';

export interface TruncatedOptions extends RoutineOptions {
  readonly seed?: number;
  /**
   * Default: the cheaper by the cost model. A sketch that does not settle in the available space falls back to the
   * exact route.
   */
  readonly route?: 'exact' | 'sketch';
}

export interface TruncatedSvd extends SingularTriplets {
  /** Of the whole matrix. */
  readonly frobeniusNorm: number;
}

/**
 * A sketch has settled when its last half step added at most this fraction of the squared error to the squared values
 * that it keeps. In a spectrum without a gap, two to three times as much is then still missing (measured on Gaussian
 * matrices), and half of that counts in the error itself, which is thus within 1 % of the minimum.
 */
const SETTLED_ERROR = 0.008;
/** And at most this fraction of what it keeps, so that a few triplets of many are accurate too. */
const SETTLED_VALUES = 0.02;
/** Growth of an unsettled sketch before the next check. */
const PATIENCE = 1.2;
/** Relative rounding of squared values in f32, with a margin. */
const ROUNDING = 1e-6;

/**
 * The `rank` leading singular triplets of a source.
 *
 * The sketch is a block Krylov space (Musco and Musco 2015) built by bidiagonalisation, which needs about half the
 * products of a subspace iteration with `rank` vectors for the same error. With its left basis U, the triplets of U U^T
 * W approximate those of W, U^T W is small, and ||W - (U U^T W)_r||_F^2 = ||W||_F^2 - sum_{i<=r} sigma_i(U^T W)^2. It
 * stops by measuring its error: see `SETTLED_ERROR`.
 *
 * @throws RankscopeError 'wrong-use' for a rank outside 1 .. min(m, n), 'not-finite', 'too-large', 'cancelled',
 *   'engine'
 */
export async function truncatedSvd(
  backend: Backend,
  source: RowSource,
  rank: number,
  options: TruncatedOptions = {},
): Promise<TruncatedSvd> {
  const { rows: m, cols: n } = source;
  if (!Number.isInteger(rank) || rank < 1 || rank > Math.min(m, n)) {
    const found = `rank ${rank} of a ${m} x ${n} matrix`;
    throw new RankscopeError('wrong-use', source.name, found, `Ask for a rank from 1 to ${Math.min(m, n)}`);
  }
  const matrix = await backend.allocate(m, n);
  try {
    const upload = (rows: ScaledRows) => uploadRows(backend, rows, 0, m, matrix, 0, subProgress(options, 0, 0.1));
    // The noise is not asked for.
    const { entries, scale } = await loadScaled(source, options.signal, upload, 1);
    const rest = subProgress(options, 0.1, 1);
    const cost = svdCost(m, n, rank);
    const route = options.route ?? (cost.sketch < cost.exact ? 'sketch' : 'exact');
    const energy = (entries.frobeniusNorm * scale) ** 2;
    const sketched =
      route === 'sketch' ? await sketchedSvd(backend, matrix, rank, energy, { ...options, ...rest }) : undefined;
    const factors = sketched ?? (await backend.svd(matrix, rank, rest));
    const { frobeniusNorm } = entries;
    return { ...factors, values: factors.values.map((value) => value / scale), frobeniusNorm };
  } finally {
    backend.free(matrix);
  }
}

/** Returns undefined if the sketch did not settle. Leaves `matrix` unchanged. */
async function sketchedSvd(
  backend: Backend,
  matrix: Matrix,
  rank: number,
  energy: number,
  { signal, progress, seed = 1 }: TruncatedOptions,
): Promise<SingularTriplets | undefined> {
  const { width, size } = sketchSize(rank);
  const krylov = await Bidiagonalization.start(backend, matrix, width, seed);
  try {
    let next = size;
    while (krylov.hasRoom) {
      await krylov.step(signal, 'SVD');
      progress?.((0.8 * krylov.size) / (Math.max(krylov.size, next) + 1));
      if (krylov.size < next && !(krylov.size >= rank + OVERSAMPLING && isExhausted(krylov, energy))) continue;
      const found = await triplets(backend, krylov, rank, energy, signal);
      if (found.settled) return await assemble(krylov, found, rank);
      next = krylov.size * PATIENCE;
    }
    return undefined;
  } finally {
    krylov.free();
  }
}

/** Whether all that the next step could add is small compared with what the space leaves out, or with rounding. */
function isExhausted({ diagonal, above }: Bidiagonalization, energy: number): boolean {
  const within = [...diagonal, ...above].reduce((sum, block) => sum + squares(block), 0);
  return squares(above.at(-1)!) <= Math.max(SETTLED_ERROR * (energy - within), ROUNDING * energy);
}

interface ProjectedTriplets extends SingularTriplets {
  readonly settled: boolean;
}

/** The triplets of the projected matrix, a few more than `rank`. */
async function triplets(
  backend: Backend,
  krylov: Bidiagonalization,
  rank: number,
  energy: number,
  signal: AbortSignal | undefined,
): Promise<ProjectedTriplets> {
  const { size, width } = krylov;
  const projected = await backend.allocate(size, size + width);
  try {
    await backend.upload(projected, 0, size, (out) => out.set(krylov.projected()));
    const inner = await backend.svd(projected, Math.min(size, rank + OVERSAMPLING), { signal });
    const kept = squares(inner.values.subarray(0, rank));
    // If f32 cannot resolve the difference, the values beyond the rank still give a lower bound of the error.
    const left = energy - kept;
    const error = Math.max(left > ROUNDING * energy ? left : 0, squares(inner.values.subarray(rank)));
    return {
      ...inner,
      settled: lastGain(krylov, inner, rank) <= Math.min(SETTLED_ERROR * error, SETTLED_VALUES * kept),
    };
  } finally {
    backend.free(projected);
  }
}

/**
 * What the last half step, A^T U_s, added to the squared leading values: ||R_s y||^2 with y the part of a left vector
 * along U_s.
 */
function lastGain({ above, size, width }: Bidiagonalization, { left, values }: SingularTriplets, rank: number): number {
  const r = above.at(-1)!;
  const cols = values.length;
  let total = 0;
  for (let k = 0; k < rank; k++) {
    let gain = 0;
    for (let i = 0; i < width; i++) {
      let sum = 0;
      for (let j = i; j < width; j++) sum += r[i * width + j]! * left[(size - width + j) * cols + k]!;
      gain += sum * sum;
    }
    if (gain > ROUNDING * values[0]! * values[k]!) total += gain;
  }
  return total;
}

async function assemble(krylov: Bidiagonalization, found: SingularTriplets, rank: number): Promise<SingularTriplets> {
  const { left, values, right } = firstTriplets(found, rank);
  return { ...(await krylov.vectors(left, right, rank)), values };
}

function squares(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return sum;
}
