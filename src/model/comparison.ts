/** A comparison of adapters of one base as plain data: it crosses every boundary and is the JSON that users read. */

import type { Place } from './findings.ts';

/** One adapter of a comparison; a file may hold several. */
export interface ComparedAdapter {
  readonly path: string;
  /** Its name in a file with several adapters; null in a file with one. */
  readonly name: string | null;
  /** Short and unique in the comparison. */
  readonly label: string;
  /** `peft`, `kohya`, `diffusers` or `cloneofsimo`. */
  readonly naming: string;
  /** The base model that its configuration names; null if it names none. */
  readonly base: string | null;
  readonly layers: number;
  /** Frobenius norm of all its updates together. */
  readonly norm: number;
  /** Number of layers with an update of zero. */
  readonly dead: number;
}

/** What one adapter adds to one matrix. */
export interface ComparedUpdate {
  /** Its name in an analysis of the file. */
  readonly matrix: string;
  /** [m, n]. */
  readonly shape: readonly [number, number];
  /** The rank that its factors allow. */
  readonly rank: number;
  readonly scale: number;
  readonly norm: number;
  /** exp of the entropy of the singular values over their sum. */
  readonly effectiveRank: number;
  /** The rank that holds 99 % of its energy. */
  readonly utilisedRank: number;
  /** Whether a factor is all zero, so that the update is zero. */
  readonly dead: boolean;
  /** Whether DoRA also rescales the adapted matrix, which the update does not show. */
  readonly dora?: boolean;
}

/** Two adapters compared in one layer, or over all layers that both have. */
export interface ComparedPair {
  /** Indices of the adapters. */
  readonly first: number;
  readonly second: number;
  /** <dW_1, dW_2>_F / (|dW_1| |dW_2|), from -1 to 1; null if one of them is zero. */
  readonly cosine: number | null;
  /**
   * ||U_1^T U_2||_F^2 / min(i, j) of their output spaces of utilised ranks i and j, from 0 to 1 (Hu et al. 2021,
   * section 7.2).
   */
  readonly overlapLeft: number | null;
  /** The same for their input spaces. */
  readonly overlapRight: number | null;
}

export interface ComparedLayer extends Place {
  readonly name: string;
  /** One for each adapter; null if it does not adapt this layer. */
  readonly updates: readonly (ComparedUpdate | null)[];
  /** Pairs of the adapters that adapt this layer, unless their shapes differ. */
  readonly pairs: readonly ComparedPair[];
  /**
   * The sum of all updates: the rank that holds 99 % of its energy, beside the sum of all ranks. null for fewer than
   * two updates.
   */
  readonly merged: { readonly rank: number; readonly concatenated: number; readonly norm: number } | null;
  /** Why the updates cannot be compared: their shapes differ. Absent if they can. */
  readonly remark?: string;
}

/** A layer, or a part of one, that could not be compared. */
export interface ComparisonSkipped {
  /** Index of the adapter. */
  readonly adapter: number;
  readonly name: string;
  readonly reason: string;
}

/** What the adapters need in one module, over all layers. */
export interface ModuleRanks {
  readonly module: string;
  /** For each adapter the mean of its effective ranks; null where it adapts no such module. */
  readonly effective: readonly (number | null)[];
  /** For each adapter the largest rank that holds 99 % of an update. */
  readonly utilised: readonly (number | null)[];
  /** Ranks of the sums of all updates, and of their concatenations, added up over the layers; null without sums. */
  readonly merged: { readonly rank: number; readonly concatenated: number } | null;
}

/** Whether one rank serves several adapters. */
export interface RanksAcross {
  readonly modules: readonly ModuleRanks[];
  /** The same over all modules, with the largest rank of a sum. */
  readonly merged: { readonly rank: number; readonly concatenated: number; readonly largest: number } | null;
  /** The least rank that holds 99 % of every update, and of nine in ten; null if all updates are zero. */
  readonly rank: { readonly all: number; readonly most: number } | null;
  readonly sentence: string;
}

/** The object that `rankscope compare --json` prints; its schema is media/schemas/comparison.schema.json. */
export interface AdapterComparison {
  readonly format: 'rankscope.comparison/1';
  readonly adapters: readonly ComparedAdapter[];
  /** Cautions for reading the numbers, one sentence each: different bases, no layer in common, doubtful scales. */
  readonly remarks: readonly string[];
  readonly layers: readonly ComparedLayer[];
  /** Over all layers of two adapters: the cosine of all weights together, the mean overlaps. */
  readonly pairs: readonly ComparedPair[];
  /** Whether one rank serves all adapters, by module. */
  readonly across: RanksAcross;
  readonly skipped: readonly ComparisonSkipped[];
}
