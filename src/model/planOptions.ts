import { factorParameters, tailEnergies } from './rankCost.ts';

/** A matrix to plan for. */
export interface PlanInput {
  readonly name: string;
  /** [m, n] = [out, in]. */
  readonly shape: readonly [number, number];
  readonly bytesPerElement: number;
  /** Of each element of the factors, where they are stored in another type than the matrix. */
  readonly factorBytesPerElement?: number;
  /** All min(m, n), descending. */
  readonly singularValues: ArrayLike<number>;
  /** Why no layer could hold its factors; it then stays dense like an excluded one. */
  readonly fixed?: string | null;
}

/**
 * The sizes a matrix can have: level k = 1 .. levels is rank k * multiple, level `levels + 1` is the matrix itself. Level 0 does not
 * exist. Costs rise with the level and losses fall.
 */
export interface Options {
  readonly input: PlanInput;
  readonly multiple: number;
  /** Parameters of one level. */
  readonly step: number;
  /** Highest level that is a saving; 0 where none is. */
  readonly levels: number;
  readonly dense: number;
  /** `tailEnergies`. */
  readonly tail: Float64Array;
  /** The one level allowed, where it was set by hand. */
  readonly only?: { readonly rank: number | null; readonly reason?: string };
}

export function optionsOf(input: PlanInput, multiple: number, factors: 2 | 3): Options {
  const [m, n] = input.shape;
  const step = factorParameters(m, n, multiple, factors);
  return {
    input,
    multiple,
    step,
    // At equality the factors cost what the exact matrix costs: no saving.
    levels: Math.ceil((m * n) / step) - 1,
    dense: m * n,
    tail: tailEnergies(input.singularValues),
  };
}

export function rankAt(options: Options, level: number): number | null {
  if (options.only) return options.only.rank;
  return level > options.levels ? null : level * options.multiple;
}

export function parametersAt(options: Options, level: number): number {
  if (options.only)
    return options.only.rank === null ? options.dense : (options.only.rank * options.step) / options.multiple;
  return level > options.levels ? options.dense : level * options.step;
}

/** The summed squared values that are lost at a level. */
export function lossAt(options: Options, level: number): number {
  const rank = rankAt(options, level);
  return rank === null ? 0 : options.tail[Math.min(rank, options.tail.length - 1)]!;
}

/** A level for each matrix. */
export type Choice = Int32Array;

export function totalParameters(all: readonly Options[], choice: Choice): number {
  return all.reduce((sum, options, k) => sum + parametersAt(options, choice[k]!), 0);
}

export function totalLoss(all: readonly Options[], choice: Choice): number {
  return all.reduce((sum, options, k) => sum + lossAt(options, choice[k]!), 0);
}
