import type { InputFactor } from '../../../activations/statistics.ts';
import { RankscopeError } from '../../../base/errors.ts';
import { breakEvenRank } from '../../../base/shape.ts';
import type { Backend, RoutineOptions } from '../../../devices/backend.ts';
import type { Sensitivity } from '../../../model/plan/sensitivities.ts';
import { withSeenRows } from '../../../spectrum/seenRows.ts';
import { truncatedSvd } from '../../../spectrum/truncated.ts';
import { computeSeen, seenKey, shrinkageOf } from '../../activations/seen.ts';
import type { Cache } from '../../cache/cache.ts';
import type { PlacedMatrix } from './placedMatrices.ts';

/** Where divergences are measured: at this share of the break-even rank. */
const MEASURED_AT = 0.1;
/** Of all energy, less than this share at the measured rank says nothing. */
const LEAST_TAIL = 1e-9;

/** The curve of what each rank of W X loses, without a divergence. */
export type Curve = Omit<Sensitivity, 'divergence'>;

/** The k leading left singular vectors of W X, m x k, row-major. */
export interface LeftBasis {
  readonly rank: number;
  readonly left: Float32Array;
  /** The energy of W X outside them. */
  readonly tail: number;
}

/** All singular values of W X, from the cache or computed and cached. */
export async function curveOf(
  backend: Backend,
  cache: Cache,
  { matrix }: PlacedMatrix,
  factor: InputFactor,
  options: RoutineOptions,
): Promise<Curve> {
  const { name, shape } = matrix;
  const { tokens } = factor;
  if (tokens === 0) return { name, tokens, singularValues: [], rest: 0 };
  const key = seenKey(matrix, factor, backend.info.name);
  const known = await cache.get(key);
  const entry = known ?? (await computeSeen(backend, matrix, factor, options));
  if (!known) await cache.put(key, entry);
  const values = Array.from(entry.singularValues, rounded);
  if (!values.every(Number.isFinite))
    throw new RankscopeError('not-finite', name, 'what it makes of its inputs is NaN or infinite');
  const kept = breakEvenRank(...shape);
  return { name, tokens, singularValues: values.slice(0, kept), rest: rounded(energy(values.slice(kept))) };
}

/** A plan file keeps eight digits, more than f32 has; plans from the file are then the same as those made at once. */
const rounded = (value: number) => Number(value.toPrecision(8));

function energy(values: readonly number[]): number {
  return values.reduceRight((sum, value) => sum + value * value, 0);
}

/** The basis for measuring a divergence; undefined where a cut to any rank would lose nothing. */
export async function basisOf(
  backend: Backend,
  { matrix, stored }: PlacedMatrix,
  factor: InputFactor,
  { singularValues, rest }: Curve,
  options: RoutineOptions,
): Promise<LeftBasis | undefined> {
  const rank = measuredRank({ singularValues, rest, shape: matrix.shape });
  if (rank === undefined) return undefined;
  const found = await withSeenRows(backend, stored, { ...factor, shrinkage: shrinkageOf(factor) }, options, (rows) =>
    truncatedSvd(backend, rows, rank, options),
  );
  // What these vectors leave is what the cut loses, even where they are only nearly the best.
  const kept = energy([...found.values]);
  const left = stored.transposed ? found.right : found.left;
  return { rank, left: Float32Array.from(left), tail: Math.max(0, found.frobeniusNorm ** 2 - kept) };
}

/** A tenth of the break-even rank, or less where W X has so small a rank that nothing would be lost there. */
function measuredRank({
  singularValues,
  rest,
  shape,
}: Pick<Curve, 'singularValues' | 'rest'> & { shape: readonly [number, number] }): number | undefined {
  const whole = energy(singularValues) + rest;
  let rank = Math.max(1, Math.floor(MEASURED_AT * ((shape[0] * shape[1]) / (shape[0] + shape[1]))));
  const tail = () => energy(singularValues.slice(rank)) + rest;
  while (rank > 1 && tail() <= LEAST_TAIL * whole) rank >>= 1;
  return tail() > LEAST_TAIL * whole ? rank : undefined;
}
