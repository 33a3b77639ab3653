import type { StatisticsKind } from './activations.ts';
import type { TextFacts } from './evaluation.ts';

/** What the matrices of a plan were truncated on, and how far that can be trusted. */
export interface CalibrationUse {
  /** `text`: block by block on the inputs of the compressed network; else statistics of the dense network's inputs. */
  readonly kind: 'text' | StatisticsKind;
  /** Name of the text; of statistics, that of their file. */
  readonly name: string;
  /** Tokens that passed, start tokens included; null where statistics do not say. */
  readonly tokens: number | null;
  /** Null for statistics. */
  readonly text: TextFacts | null;
  /** What was added to second moments, in units of their mean diagonal; of statistics, only where tokens are few. */
  readonly ridge: number;
  /** Matrices that fewer tokens reached than they have columns. */
  readonly short: readonly { readonly name: string; readonly tokens: number; readonly inputs: number }[];
  /** Matrices that were truncated by their weights alone: outside the blocks, or reached by no token. */
  readonly byWeights: readonly string[];
  /** Warnings, one sentence each. */
  readonly notes: readonly string[];
}
