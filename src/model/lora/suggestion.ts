import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { breakEvenRank } from '../../base/shape.ts';
import type { TargetSet } from './targets.ts';

export interface LoraSuggestRequest extends DeviceRequest {
  readonly path: string;
  /** `all-linear` by default. */
  readonly targets?: TargetSet;
  /** The budget: as many parameters as this rank would take in every module; 16 by default. */
  readonly rank?: number;
  /** Statistics of the inputs: the spectra are then those of W X. */
  readonly activations?: string;
}

/** A module that can be adapted, with the measure that its rank follows. */
export interface MeasuredModule {
  /** Its path in the model's code. */
  readonly name: string;
  readonly shape: readonly [number, number];
  /** exp of the entropy of sigma / sum sigma, of W or of W X. */
  readonly effectiveRank: number;
  /** Whether the inputs were known. */
  readonly seen: boolean;
}

export interface SuggestedModule extends MeasuredModule {
  readonly rank: number;
  /** The reason in words. */
  readonly reason: string;
}

/** The object that `rankscope lora suggest --json` prints; its schema is media/schemas/loraSuggestion.schema.json. */
export interface LoraSuggestion {
  readonly format: 'rankscope.loraSuggestion/1';
  readonly path: string;
  readonly targets: TargetSet;
  readonly budget: number;
  readonly parameters: number;
  readonly modules: readonly SuggestedModule[];
  /** What the ranks follow, and what was left out, one sentence each. */
  readonly reasoning: readonly string[];
  /** The rank that would take the budget in every module, for tools that have only one. */
  readonly uniformRank: number;
  /** PEFT's names: the shortest ends of paths that stand for these modules alone. */
  readonly targetModules: readonly string[];
}

/**
 * Ranks in proportion to the effective ranks, within a budget of parameters: each rank goes to the module whose
 * effective rank per rank that it has is largest, which is the apportionment of D'Hondt (1882). Every module has rank 1
 * at least and its break-even rank at most.
 */
export function apportionRanks(modules: readonly MeasuredModule[], budget: number): number[] {
  const limits = modules.map(({ shape: [m, n] }) => Math.max(1, breakEvenRank(m, n)));
  const costs = modules.map(({ shape: [m, n] }) => m + n);
  /** The ranks whose quotients are at least this. */
  const ranksAbove = (quotient: number) =>
    modules.map(({ effectiveRank }, k) => Math.max(1, Math.min(limits[k]!, Math.floor(effectiveRank / quotient))));
  const costOf = (ranks: readonly number[]) => ranks.reduce((sum, rank, k) => sum + rank * costs[k]!, 0);
  let [low, high] = [0, modules.reduce((most, { effectiveRank }) => Math.max(most, effectiveRank), 0) || 1];
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (costOf(ranksAbove(middle)) <= budget) high = middle;
    else low = middle;
  }
  // What is left is less than the next step of some module, but may do for that of another.
  const ranks = ranksAbove(high);
  let left = budget - costOf(ranks);
  const wish = (k: number) => modules[k]!.effectiveRank / (ranks[k]! + 1);
  const open = new Set([...modules.keys()].filter((k) => ranks[k]! < limits[k]!));
  while (open.size > 0) {
    let best = -1;
    for (const k of open) if (best < 0 || wish(k) > wish(best)) best = k;
    if (costs[best]! > left || ranks[best]! >= limits[best]!) {
      open.delete(best);
      continue;
    }
    ranks[best]!++;
    left -= costs[best]!;
  }
  return ranks;
}

/**
 * The shortest ends of paths, in whole parts, that no other module of the model has. PEFT takes a module whose path
 * ends in one of them.
 */
export function shortTargets(wanted: readonly string[], all: readonly string[]): string[] {
  const others = all.filter((name) => !wanted.includes(name));
  const ends = (name: string, parts: number) => name.split('.').slice(-parts).join('.');
  const chosen = new Set<string>();
  for (const name of wanted) {
    if ([...chosen].some((end) => name === end || name.endsWith(`.${end}`))) continue;
    const parts = name.split('.').length;
    let length = 1;
    // A number alone, as of a Sequential, would match far too much.
    while (length < parts && (/^[\d.]+$/.test(ends(name, length)) || taken(ends(name, length), others))) length++;
    chosen.add(ends(name, length));
  }
  return [...chosen];
}

function taken(end: string, others: readonly string[]): boolean {
  return others.some((name) => name === end || name.endsWith(`.${end}`));
}
