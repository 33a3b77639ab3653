import { breakEvenRank, factorParameters } from '../../base/shape.ts';
import type { DenseRole } from '../names/roles.ts';
import type { Budget, PlanRequest } from './plan.ts';
import { defaultFloor } from './planRequest.ts';
import { tailEnergies } from './rankCost.ts';
import type { RuleSettings } from './rules.ts';

/** A matrix to plan for. */
export interface PlanInput {
  readonly name: string;
  /** [m, n] = [out, in]. */
  readonly shape: readonly [number, number];
  readonly bytesPerElement: number;
  /** The same for the factors, if their type differs from the matrix's. */
  readonly factorBytesPerElement?: number;
  /** The same for the matrix where it stays dense, if that is written in another type than it is stored in. */
  readonly writtenBytesPerElement?: number;
  /** Multiply-adds for one token: of the matrix, and of each rank of its factors. By default, m n and m + n. */
  readonly multiplyAdds?: { readonly dense: number; readonly perRank: number };
  /** Of W, or of W X, descending: all min(m, n), or as many as the highest rank that saves parameters. */
  readonly singularValues: ArrayLike<number>;
  /** The sum of the squares of those that are not listed. */
  readonly rest?: number;
  /** What the loss of a unit of energy costs; by default, losing all of it costs the matrix's number of elements. */
  readonly weight?: number;
  /** Why no layer can hold its factors; it then stays dense like an excluded matrix. */
  readonly fixed?: string | null;
  /** What it is, if that is dense by default: `['embedding', 'head']` for a tied embedding. */
  readonly kinds?: readonly DenseRole[];
  /** What users must know if it is cut, in one sentence. */
  readonly caution?: string;
}

/**
 * The possible sizes of a matrix: level k = least .. levels is rank k * multiple, and level `levels + 1` the dense
 * matrix. There is no level 0. Costs rise with the level and losses fall.
 */
export interface Options {
  readonly input: PlanInput;
  readonly multiple: number;
  readonly factors: 2 | 3;
  /** Parameters of one level. */
  readonly step: number;
  /** What the budget counts: parameters, bytes or multiply-adds of one level, and of the dense matrix. */
  readonly cost: { readonly step: number; readonly dense: number };
  /** Highest level that saves parameters, and what the budget counts; 0 if none does. */
  readonly levels: number;
  /** Lowest level that may be chosen: 1, or the first at or above the floor; `levels + 1` where none is. */
  readonly least: number;
  readonly dense: number;
  /** `tailEnergies`, in the scale of what losses cost; see `optionsOf`. */
  readonly tail: Float64Array;
  /** The only choice, if it was set by hand. */
  readonly only?: { readonly rank: number | null; readonly reason?: string };
  /** Whether a rule of the request has a say, so that it cannot share a factor. */
  readonly isRuled?: boolean;
}

/**
 * Unless the cost of losses was measured (`weight`), errors are relative to the matrix and weighted by its size, as if
 * all matrices had the same mean square entry. Absolute squared errors would sacrifice matrices of small norm, which a
 * network needs: with 80 % of the parameters of its layers, a real model of 260K parameters had a loss of 5.0 nats that
 * way and 2.6 nats this way (1.7 uncompressed); another model showed no difference.
 */
export function optionsOf(input: PlanInput, request: RankRules, rule: RuleSettings = {}): Options {
  const { factors, budget, spread } = request;
  const multiple = rule.multiple ?? request.multiple;
  const [m, n] = input.shape;
  const step = factorParameters(m, n, multiple, factors);
  const share = rule.floor ?? request.floor ?? defaultFloor({ budget, spread });
  const cost = costOf(input, budget.kind, multiple, factors);
  // At equality, the factors cost as much as the matrix and save nothing.
  const levels = Math.max(0, Math.ceil(Math.min((m * n) / step, cost.dense / cost.step)) - 1);
  const tail = tailEnergies(input.singularValues, input.rest);
  return {
    input,
    multiple,
    factors,
    step,
    cost,
    levels,
    least: Math.min(levels + 1, Math.max(1, Math.ceil(Math.floor(share * breakEvenRank(m, n, factors)) / multiple))),
    dense: m * n,
    tail: input.weight === undefined ? scaled(tail, m * n) : tail.map((energy) => energy * input.weight!),
  };
}

function costOf(input: PlanInput, kind: Budget['kind'], multiple: number, factors: 2 | 3): Options['cost'] {
  const [m, n] = input.shape;
  const step = factorParameters(m, n, multiple, factors);
  if (kind === 'bytes') return { step: step * factorBytes(input), dense: m * n * denseBytes(input) };
  if (kind !== 'multiplyAdds') return { step, dense: m * n };
  const { dense, perRank } = multiplyAddsOf(input, factors);
  return { step: perRank * multiple, dense };
}

export const denseBytes = ({ bytesPerElement, writtenBytesPerElement = bytesPerElement }: PlanInput): number =>
  writtenBytesPerElement;

export const factorBytes = ({ bytesPerElement, factorBytesPerElement = bytesPerElement }: PlanInput): number =>
  factorBytesPerElement;

/** Of the dense matrix, and of each rank of its factors. */
export function multiplyAddsOf(
  { shape: [m, n], multiplyAdds }: PlanInput,
  factors: 2 | 3,
): { dense: number; perRank: number } {
  const { dense, perRank } = multiplyAdds ?? { dense: m * n, perRank: m + n };
  return { dense, perRank: perRank + (factors === 3 ? 1 : 0) };
}

/** What decides which ranks a matrix may have. */
type RankRules = Pick<PlanRequest, 'multiple' | 'factors' | 'budget' | 'spread' | 'floor'>;

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

/** What the budget counts at a level. */
export function costAt(options: Options, level: number): number {
  const rank = rankAt(options, level);
  return rank === null ? options.cost.dense : (rank * options.cost.step) / options.multiple;
}

/** The energy that is lost at a level, in the scale of `tail`. */
export function lossAt(options: Options, level: number): number {
  const rank = rankAt(options, level);
  return rank === null ? 0 : options.tail[Math.min(rank, options.tail.length - 1)]!;
}

/** A level for each matrix. */
export type Choice = Int32Array;

export function smallestChoice(all: readonly Options[]): Choice {
  return Int32Array.from(all, ({ least }) => least);
}

export function totalParameters(all: readonly Options[], choice: Choice): number {
  return all.reduce((sum, options, k) => sum + parametersAt(options, choice[k]!), 0);
}

export function totalCost(all: readonly Options[], choice: Choice): number {
  return all.reduce((sum, options, k) => sum + costAt(options, choice[k]!), 0);
}

export function totalLoss(all: readonly Options[], choice: Choice): number {
  return all.reduce((sum, options, k) => sum + lossAt(options, choice[k]!), 0);
}

/** The share of a matrix's energy that is lost at a level. */
export function lostShareAt(options: Options, level: number): number {
  const whole = options.tail[0]!;
  return whole > 0 ? lossAt(options, level) / whole : 0;
}

/** The mean of these shares, weighted by the matrices' sizes; those without energy do not count. */
export function meanLostShare(all: readonly Options[], choice: Choice): number {
  let [lost, whole] = [0, 0];
  for (const [k, options] of all.entries()) {
    if (!(options.tail[0]! > 0)) continue;
    lost += lostShareAt(options, choice[k]!) * options.dense;
    whole += options.dense;
  }
  return whole > 0 ? lost / whole : 0;
}
