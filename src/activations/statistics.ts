import type { FileIdentity } from '../bytes/source/fileSource.ts';
import type { StatisticsKind, StatisticsSummary } from '../model/activations.ts';

/** An open file of statistics, whose values are read when they are needed. */
export interface Statistics {
  readonly summary: StatisticsSummary;
  /** Whose names the matrices have. */
  readonly naming: 'transformers' | 'llama.cpp';
  readonly entries: readonly StatisticsEntry[];
  readonly file: FileIdentity;
  close(): Promise<void>;
}

/** What a file holds for one matrix, or for a stack of them. */
export interface StatisticsEntry {
  /** The name of the matrix, or of the stack. */
  readonly name: string;
  /** [out, in]; llama.cpp's files do not say. */
  readonly shape?: readonly [number, number] | undefined;
  /** Number of values: n^2 of R; n for a diagonal, or for each slice of a stack. */
  readonly length: number;
  /** Tokens that reached the matrix, or slice; null where the file does not say. */
  tokens(slice: number): number | null;
  /** Reads values of R, row-major, or of the diagonal, slice after slice. */
  read(start: number, out: Float32Array, signal?: AbortSignal): Promise<void>;
  /** What the values depend on, besides the file. */
  readonly storage: string;
}

/** The statistics of the inputs of one matrix. */
export interface InputFactor {
  readonly kind: StatisticsKind;
  /** n, the columns of W. */
  readonly inputs: number;
  readonly tokens: number | null;
  /** Everything its values depend on, as plain data. */
  identity(): readonly unknown[];
  /**
   * Fills `out` with whole rows of R (n x n) from `row` on; of a diagonal, there is one row: the root of it.
   * @throws RankscopeError 'not-finite', 'malformed' for negative sums of squares, 'changed', 'cancelled'
   */
  read(row: number, out: Float32Array, signal?: AbortSignal): Promise<void>;
}
