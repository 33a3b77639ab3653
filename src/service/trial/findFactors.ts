import type { Backend, RoutineOptions, RowSource } from '../../devices/backend.ts';
import type { FactorizationCost, TrialMethod, TrialOptions } from '../../model/trial.ts';
import { columnRowSvd } from '../../spectrum/sketches/columnRow.ts';
import { generalizedNystrom } from '../../spectrum/sketches/generalizedNystrom.ts';
import type { LoadedMatrix } from '../../spectrum/sketches/loadedMatrix.ts';
import { randomizedSvd } from '../../spectrum/sketches/randomized.ts';
import { qrMultiplyAdds } from '../../spectrum/sketches/sketch.ts';
import { truncatedSvd } from '../../spectrum/truncated.ts';
import type { TriedFactors } from './trialStore.ts';

/** The exact truncated SVD, from which those of lower ranks are cut. */
export async function exactFactors(
  backend: Backend,
  source: RowSource,
  rank: number,
  options: RoutineOptions,
): Promise<TriedFactors> {
  const started = performance.now();
  const { left, values, right } = await truncatedSvd(backend, source, rank, { ...options, route: 'exact' });
  const cost = { passes: null, multiplyAdds: exactMultiplyAdds(source, rank), seconds: secondsSince(started) };
  return { triplets: { left, values, right }, cost };
}

/** The factors of one rank by a sketch, which is as wide as this rank needs. */
export async function sketchedFactors(
  backend: Backend,
  loaded: LoadedMatrix,
  method: Sketch,
  rank: number,
  options: Omit<TrialOptions, 'ranks' | 'methods'> & RoutineOptions,
): Promise<TriedFactors> {
  const started = performance.now();
  const { factors, predicted, cost } = await SKETCHES[method](backend, loaded, rank, options);
  return { triplets: factors, predicted, cost: { ...cost, seconds: secondsSince(started) } };
}

export type Sketch = Exclude<TrialMethod, 'exact'>;

const SKETCHES = { randomized: randomizedSvd, nystrom: generalizedNystrom, 'column-row': columnRowSvd };

const secondsSince = (started: number) => (performance.now() - started) / 1000;

/**
 * A QR if the matrix is not square, the reduction of the p x p rest to a bidiagonal matrix (Golub and Van Loan, "Matrix
 * Computations", 4th edition, section 5.4.8: 8/3 p^3 operations), and `rank` vectors of either side taken back through
 * its two stages.
 */
function exactMultiplyAdds({ rows, cols }: RowSource, rank: number): FactorizationCost['multiplyAdds'] {
  const [long, short] = [Math.max(rows, cols), Math.min(rows, cols)];
  const first = long > short ? qrMultiplyAdds(long, short) + long * short * rank : 0;
  return first + Math.round((4 / 3) * short ** 3) + 4 * short ** 2 * rank;
}
