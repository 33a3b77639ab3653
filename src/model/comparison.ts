/** What several adapters of one base have in common, as plain data: it crosses every boundary and is the JSON that users read. */

import type { Place } from './findings.ts';

/** One adapter of a comparison; a file may hold several. */
export interface ComparedAdapter {
  readonly path: string;
  /** Its name inside of a file of several; null where the file holds but one. */
  readonly name: string | null;
  /** Short, and different from those of the others. */
  readonly label: string;
  /** `peft`, `kohya`, `diffusers` or `cloneofsimo`. */
  readonly naming: string;
  /** What it says it was trained on; null where nothing says it. */
  readonly base: string | null;
  readonly layers: number;
  /** Frobenius norm of all its updates together. */
  readonly norm: number;
  /** Layers to which it adds nothing. */
  readonly dead: number;
}

/** What one adapter adds to one matrix. */
export interface ComparedUpdate {
  /** The name that an analysis of its file has for it. */
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
  /** A factor of zeros: nothing is added. */
  readonly dead: boolean;
  /** DoRA scales the adapted matrix besides, which the update alone does not show. */
  readonly dora?: boolean;
}

/** Two adapters in one layer, or over all layers that both have. */
export interface ComparedPair {
  /** Places among the adapters. */
  readonly first: number;
  readonly second: number;
  /** <dW_1, dW_2>_F / (|dW_1| |dW_2|), from -1 to 1; null where one adds nothing. */
  readonly cosine: number | null;
  /** ||U_1^T U_2||_F^2 / min(i, j) of their output spaces of utilised ranks i and j, from 0 to 1 (Hu et al. 2021, section 7.2). */
  readonly overlapLeft: number | null;
  /** The same of their input spaces. */
  readonly overlapRight: number | null;
}

export interface ComparedLayer extends Place {
  readonly name: string;
  /** One for each adapter; null where it does not touch this layer. */
  readonly updates: readonly (ComparedUpdate | null)[];
  /** Of those that can be compared here: all that touch it, unless their shapes differ. */
  readonly pairs: readonly ComparedPair[];
  /** The sum of all updates: the rank that holds 99 % of its energy, beside the sum of all ranks. null for fewer than two updates. */
  readonly merged: { readonly rank: number; readonly concatenated: number; readonly norm: number } | null;
  /** What stands in the way of comparing: other shapes. Absent mostly. */
  readonly remark?: string;
}

/** A layer, or a part of one, of which nothing can be said. */
export interface ComparisonSkipped {
  /** Place among the adapters. */
  readonly adapter: number;
  readonly name: string;
  readonly reason: string;
}

/** The object that `rankscope compare --json` prints; its schema is media/schemas/comparison.schema.json. */
export interface AdapterComparison {
  readonly format: 'rankscope.comparison/1';
  readonly adapters: readonly ComparedAdapter[];
  /** What a person should know before the numbers, one sentence each: different bases, no layer in common, doubtful scales. */
  readonly remarks: readonly string[];
  readonly layers: readonly ComparedLayer[];
  /** Over all layers of two adapters: the cosine of all weights together, the mean overlaps. */
  readonly pairs: readonly ComparedPair[];
  readonly skipped: readonly ComparisonSkipped[];
}
