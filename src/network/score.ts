import { LogitRows } from '../devices/logitRows.ts';
import type { Comparison, Score } from '../model/evaluation.ts';
import type { LogitSlice } from './head.ts';

/** What is known of each scored token in one network. */
interface Series {
  /** Negative log likelihoods. */
  readonly losses: Float64Array;
  /** KL(dense || network); unused for the dense network. */
  readonly divergences: Float64Array;
  sameTop: number;
}

/**
 * Scores the predictions of a network and its variants, a slice of logits at a time: all tokens but the first of each
 * window, from the logits of the position before. Statistics are in f64.
 */
export class Scores {
  private readonly series: readonly Series[];
  private rows: LogitRows | undefined;
  private count = 0;

  constructor(
    private readonly windows: readonly ArrayLike<number>[],
    variants: number,
  ) {
    const scored = scoredTokens(windows);
    this.series = Array.from({ length: 1 + variants }, () => ({
      losses: new Float64Array(scored),
      divergences: new Float64Array(scored),
      sameTop: 0,
    }));
  }

  readonly take = ({ window, first, rows, vocabulary, logits }: LogitSlice): void => {
    this.rows ??= new LogitRows(vocabulary);
    const own = this.rows;
    for (let row = 0; row < rows; row++) {
      const next = this.windows[window]![first + row + 1];
      if (next === undefined) continue;
      const rowOf = (values: Float32Array) => values.subarray(row * vocabulary, (row + 1) * vocabulary);
      const at = this.count++;
      let denseTop = 0;
      for (const [k, series] of this.series.entries()) {
        const values = rowOf(logits[k]!);
        const { top, logSum, divergence } =
          k === 0 ? { ...own.setReference(values), divergence: 0 } : own.compare(values);
        if (k === 0) denseTop = top;
        series.losses[at] = logSum - values[next]!;
        series.divergences[at] = divergence;
        if (top === denseTop) series.sameTop++;
      }
    }
  };

  /** Of the dense network, and of the variants in their order; after the last slice. */
  result(): { readonly dense: Score; readonly variants: readonly (Score & Comparison)[] } {
    const [dense, ...variants] = this.series;
    const { losses } = dense!;
    return {
      dense: scoreOf(losses),
      variants: variants.map((series) => {
        const { mean, error } = meanOf(series.losses.map((loss, at) => loss - losses[at]!));
        return {
          ...scoreOf(series.losses),
          difference: mean,
          differenceError: error,
          divergence: divergenceOf(series.divergences),
          sameTop: series.sameTop / losses.length,
        };
      }),
    };
  }
}

/** All tokens but the first of each window. */
export function scoredTokens(windows: readonly ArrayLike<number>[]): number {
  return windows.reduce((sum, { length }) => sum + Math.max(0, length - 1), 0);
}

function scoreOf(losses: Float64Array): Score {
  const { mean, error } = meanOf(losses);
  return { perplexity: Math.exp(mean), loss: mean, lossError: error };
}

/** The mean with its standard error: the sample's standard deviation over the root of its size; 0 for one value. */
function meanOf(values: Float64Array): { mean: number; error: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, error: values.length > 1 ? Math.sqrt(squares / (values.length - 1) / values.length) : 0 };
}

function divergenceOf(values: Float64Array): Comparison['divergence'] {
  const sorted = values.toSorted();
  const { mean } = meanOf(values);
  const at = (share: number) => quantile(sorted, share);
  return { mean, median: at(0.5), q90: at(0.9), q99: at(0.99), max: sorted.at(-1)! };
}

/** Linear between neighbours, as in NumPy and torch. */
function quantile(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below]!;
  return low + (place - below) * ((sorted[below + 1] ?? low) - low);
}
