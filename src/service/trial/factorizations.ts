import type { Pause } from '../../base/eventLoop.ts';
import { firstTriplets } from '../../base/singularTriplets.ts';
import type { Backend } from '../../devices/backend.ts';
import { digestOf } from '../../files/digest.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import type { ProductCost, TrialMethod, TrialOptions } from '../../model/trial.ts';
import { type LoadedMatrix, withLoadedMatrix } from '../../spectrum/sketches/loadedMatrix.ts';
import { exactFactors, type Sketch, sketchedFactors } from './findFactors.ts';
import { timeDense, timeFactors } from './timeProducts.ts';
import type { TrialStore, TriedFactors } from './trialStore.ts';

/** A matrix that is tried on a device. */
export interface OnDevice {
  readonly matrix: StoredMatrix;
  readonly options: TrialOptions;
  readonly backend: Backend;
  readonly store: TrialStore;
  readonly signal: AbortSignal | undefined;
  readonly letUrgent: Pause;
  /** Called before each step. */
  readonly step: (what: string) => void;
}

export interface Factorizations {
  factors(method: TrialMethod, rank: number): TriedFactors;
  /** Of y = W x, or with a rank of y = B (A x). */
  seconds(rank?: number): ProductCost['seconds'];
}

/** The factors by all methods at all ranks, and the times of products: those of the store, and what it lacks. */
export async function factorize(trial: OnDevice): Promise<Factorizations> {
  const { options, store } = trial;
  const found = new Map<string, TriedFactors>();
  const sketches: [Sketch, number][] = [];
  for (const method of options.methods) {
    if (method === 'exact') {
      const whole = await exactFactorsTo(trial, options.ranks.at(-1)!);
      for (const rank of options.ranks) found.set(`${method} ${rank}`, cut(whole, rank));
    } else
      for (const rank of options.ranks) {
        const known = store.factors(factorKey(trial, method, rank));
        if (known) found.set(`${method} ${rank}`, known);
        else sketches.push([method, rank]);
      }
  }
  const seconds = new Map<number | undefined, ProductCost['seconds']>();
  const dense = store.seconds(secondsKey(trial));
  if (dense) seconds.set(undefined, dense);
  if (!dense || sketches.length > 0)
    await loaded(trial, async (matrix) => {
      for (const [method, rank] of sketches)
        found.set(`${method} ${rank}`, await sketched(trial, matrix, method, rank));
      if (!dense) seconds.set(undefined, await timeProduct(trial, matrix));
    });
  for (const rank of options.ranks)
    seconds.set(rank, store.seconds(secondsKey(trial, rank)) ?? (await timeProduct(trial, rank)));
  return { factors: (method, rank) => found.get(`${method} ${rank}`)!, seconds: (rank) => seconds.get(rank)! };
}

/** The factors by one method at one rank, from the store or computed, for those who need no more. */
export async function oneFactorization(trial: OnDevice, method: TrialMethod, rank: number): Promise<TriedFactors> {
  if (method === 'exact') return cut(await exactFactorsTo(trial, rank), rank);
  return (
    trial.store.factors(factorKey(trial, method, rank)) ??
    loaded(trial, (matrix) => sketched(trial, matrix, method, rank))
  );
}

/** The exact factors of at least this rank: those of a lower one are their first. */
async function exactFactorsTo(trial: OnDevice, rank: number): Promise<TriedFactors> {
  const { matrix, backend, signal, store, step } = trial;
  const known = store.factors(factorKey(trial, 'exact'));
  if (known && known.triplets.values.length >= rank) return known;
  step(`exact, rank ${rank}`);
  const found = await exactFactors(backend, matrix.source(), rank, { signal });
  store.putFactors(factorKey(trial, 'exact'), found);
  return found;
}

const cut = ({ triplets, cost }: TriedFactors, rank: number): TriedFactors => ({
  triplets: firstTriplets(triplets, rank),
  cost,
});

function loaded<Result>(
  { backend, matrix, signal }: OnDevice,
  use: (loaded: LoadedMatrix) => Promise<Result>,
): Promise<Result> {
  return withLoadedMatrix(backend, matrix.source(), { signal }, use);
}

async function sketched(trial: OnDevice, matrix: LoadedMatrix, method: Sketch, rank: number): Promise<TriedFactors> {
  const { backend, options, signal, store, step, letUrgent } = trial;
  await letUrgent();
  step(`${method}, rank ${rank}`);
  const factors = await sketchedFactors(backend, matrix, method, rank, { ...options, signal });
  store.putFactors(factorKey(trial, method, rank), factors);
  return factors;
}

/** The time of a product with the whole matrix, or with factors of a rank. */
async function timeProduct(trial: OnDevice, of: LoadedMatrix | number): Promise<ProductCost['seconds']> {
  const { backend, matrix, signal, store, step, letUrgent } = trial;
  const rank = typeof of === 'number' ? of : undefined;
  step(rank === undefined ? 'products' : `products, rank ${rank}`);
  const options = { signal, pause: letUrgent };
  const seconds =
    typeof of === 'number'
      ? await timeFactors(backend, matrix.shape, of, options)
      : await timeDense(backend, of.matrix, matrix.transposed, options);
  store.putSeconds(secondsKey(trial, rank), seconds);
  return seconds;
}

/** Identifies factors by everything they depend on. The exact ones have the rank that they have. */
export function factorKey({ matrix, options, backend }: OnDevice, method: TrialMethod, rank?: number): string {
  const { oversampling, powerIterations, probes, seed } = options;
  const own = method === 'exact' ? [] : [rank, oversampling, powerIterations, probes, seed];
  return digestOf([matrix.identity(), backend.info, method, own]);
}

const secondsKey = ({ matrix: { shape, transposed }, backend }: OnDevice, rank?: number) =>
  digestOf([shape, rank === undefined && transposed, backend.info, rank ?? null]);
