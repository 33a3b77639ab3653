import { factorParameters } from '../../base/shape.ts';
import type { DenseRole } from '../names/roles.ts';
import { tailEnergies } from './rankCost.ts';

/** A matrix to plan for. */
export interface PlanInput {
  readonly name: string;
  /** [m, n] = [out, in]. */
  readonly shape: readonly [number, number];
  readonly bytesPerElement: number;
  /** The same for the factors, if their type differs from the matrix's. */
  readonly factorBytesPerElement?: number;
  /** All min(m, n), descending. */
  readonly singularValues: ArrayLike<number>;
  /** Why no layer can hold its factors; it then stays dense like an excluded matrix. */
  readonly fixed?: string | null;
  /** What it is, if that is dense by default: `['embedding', 'head']` for a tied embedding. */
  readonly kinds?: readonly DenseRole[];
  /** What users must know if it is cut, in one sentence. */
  readonly caution?: string;
}

/**
 * The possible sizes of a matrix: level k = 1 .. levels is rank k * multiple, and level `levels + 1` the dense matrix.
 * There is no level 0. Costs rise with the level and losses fall.
 */
export interface Options {
  readonly input: PlanInput;
  readonly multiple: number;
  /** Parameters of one level. */
  readonly step: number;
  /** Highest level that saves parameters; 0 if none does. */
  readonly levels: number;
  readonly dense: number;
  /** `tailEnergies`, scaled so that the whole matrix counts for its number of elements; see `optionsOf`. */
  readonly tail: Float64Array;
  /** The only choice, if it was set by hand. */
  readonly only?: { readonly rank: number | null; readonly reason?: string };
}

/**
 * Errors are relative to the matrix and weighted by its size, as if all matrices had the same mean square entry.
 * Absolute squared errors would sacrifice matrices of small norm, which a network needs: with 80 % of the parameters of
 * its layers, a real model of 260K parameters had a loss of 5.0 nats that way and 2.6 nats this way (1.7 uncompressed);
 * another model showed no difference.
 */
export function optionsOf(input: PlanInput, multiple: number, factors: 2 | 3): Options {
  const [m, n] = input.shape;
  const step = factorParameters(m, n, multiple, factors);
  return {
    input,
    multiple,
    step,
    // At equality, the factors cost as much as the matrix and save nothing.
    levels: Math.ceil((m * n) / step) - 1,
    dense: m * n,
    tail: scaled(tailEnergies(input.singularValues), m * n),
  };
}

function scaled(tail: Float64Array, whole: number): Float64Array {
  const energy = tail[0]!;
  if (energy > 0) for (let k = 0; k < tail.length; k++) tail[k] = (tail[k]! / energy) * whole;
  return tail;
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

/** The energy that is lost at a level, in the scale of `tail`. */
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
