import type { Backend } from '../devices/backend.ts';
import { SUMMARY } from '../devices/rowSummaries.ts';
import type { Comparison, Score } from '../model/evaluation.ts';
import { notFinite } from './head.ts';
import type { LogitPart } from './passHeads.ts';

/** What is known so far of the logits x of each position in one network. */
interface Series {
  readonly name: string;
  readonly largest: Float64Array;
  readonly top: Int32Array;
  /** The sum of e^(x - largest). */
  readonly sums: Float64Array;
  /** x of the token that follows. */
  readonly targets: Float64Array;
  /** With the logits r of the dense network, the sum of e^(r - its largest) (r - x). */
  readonly differences: Float64Array;
}

/** What is known of each scored token in one network. */
interface Scored {
  /** Negative log likelihoods. */
  readonly losses: Float64Array;
  /** KL(dense || network); zeros for the dense network. */
  readonly divergences: Float64Array;
  /** Share of tokens at which both have the same most likely token. */
  readonly sameTop: number;
}

export interface ScoresOf {
  readonly backend: Backend;
  readonly windows: readonly ArrayLike<number>[];
  /** Of the variants, in their order. */
  readonly names: readonly string[];
  /** What errors are about. */
  readonly subject: string;
}

/**
 * Scores the predictions of a network and its variants, some columns of logits at a time: all tokens but the first of
 * each window, from the logits of the position before. A row of logits is never held whole: sums of exponentials are
 * rescaled to the largest logit so far (Milakov and Gimelshein, arXiv 1805.02867). Statistics are in f64.
 */
export class Scores {
  private readonly series: readonly Series[];
  /** The token that follows each position, -1 behind the last of a window. */
  private readonly next: Int32Array;

  constructor(private readonly of: ScoresOf) {
    this.next = Int32Array.from(
      of.windows.flatMap((window) => Array.from(window, (_, position) => window[position + 1] ?? -1)),
    );
    const { length } = this.next;
    this.series = ['the dense network', ...of.names].map((name) => ({
      name,
      largest: new Float64Array(length).fill(Number.NEGATIVE_INFINITY),
      top: new Int32Array(length),
      sums: new Float64Array(length),
      targets: new Float64Array(length),
      differences: new Float64Array(length),
    }));
  }

  /** @throws RankscopeError 'not-finite' for a logit that is NaN or infinite, with its network and position */
  readonly take = async ({ row, column, logits }: LogitPart): Promise<void> => {
    const [dense] = logits;
    const { rows, cols } = dense!;
    const targets = Int32Array.from({ length: rows }, (_, k) => {
      const place = this.next[row + k]! - column;
      return place >= 0 && place < cols ? place : -1;
    });
    const { network } = this.of.backend;
    const known: Float64Array[] = [];
    for (const [s, matrix] of logits.entries())
      known.push(await network.summarizeRows(matrix, targets, s === 0 ? undefined : dense));
    // The dense network last: the others are rescaled to the largest of its logits that it had before.
    for (const s of [...known.keys()].reverse())
      for (let k = 0; k < rows; k++) this.add(s, row + k, column, known[s]!, known[0]!, k * SUMMARY.size);
  };

  /** Adds a summary of some columns to what is known of a position. */
  private add(s: number, at: number, column: number, own: Float64Array, reference: Float64Array, from: number): void {
    const series = this.series[s]!;
    const largest = own[from + SUMMARY.largest]!;
    if (Number.isNaN(largest)) throw notFinite(this.of.subject, series.name, ...this.placeOf(at));
    const shift = rescaling(this.series[0]!.largest[at]!, reference[from + SUMMARY.largest]!);
    series.differences[at] = series.differences[at]! * shift.before + own[from + SUMMARY.difference]! * shift.here;
    const { before, here } = rescaling(series.largest[at]!, largest);
    series.sums[at] = series.sums[at]! * before + own[from + SUMMARY.sum]! * here;
    series.targets[at]! += own[from + SUMMARY.target]!;
    // Of equal logits the first is taken.
    if (largest <= series.largest[at]!) return;
    series.largest[at] = largest;
    series.top[at] = column + own[from + SUMMARY.top]!;
  }

  /** Window and position. */
  private placeOf(at: number): [window: number, position: number] {
    let start = 0;
    for (const [window, { length }] of this.of.windows.entries()) {
      if (at < start + length) return [window, at - start];
      start += length;
    }
    return [this.of.windows.length, at - start];
  }

  private scored(series: Series): Scored {
    const [dense] = this.series;
    const places = [...this.next.keys()].filter((at) => this.next[at] !== -1);
    const logSum = ({ largest, sums }: Series, at: number) => largest[at]! + Math.log(sums[at]!);
    const equal = places.filter((at) => series.top[at] === dense!.top[at]).length;
    return {
      losses: Float64Array.from(places, (at) => logSum(series, at) - series.targets[at]!),
      divergences: Float64Array.from(places, (at) =>
        Math.max(0, series.differences[at]! / dense!.sums[at]! - logSum(dense!, at) + logSum(series, at)),
      ),
      sameTop: equal / places.length,
    };
  }

  /** Of the dense network, and of the variants in their order; after the last columns. */
  result(): { readonly dense: Score; readonly variants: readonly (Score & Comparison)[] } {
    const [dense, ...variants] = this.series.map((series) => this.scored(series));
    const { losses } = dense!;
    return {
      dense: scoreOf(losses),
      variants: variants.map((own) => {
        const { mean, error } = meanOf(own.losses.map((loss, at) => loss - losses[at]!));
        return {
          ...scoreOf(own.losses),
          difference: mean,
          differenceError: error,
          divergence: divergenceOf(own.divergences),
          sameTop: own.sameTop,
        };
      }),
    };
  }
}

/** Factors of sums of e^(x - largest), before and here, for the larger of both largest. */
function rescaling(before: number, here: number): { readonly before: number; readonly here: number } {
  return before >= here ? { before: 1, here: Math.exp(here - before) } : { before: Math.exp(before - here), here: 1 };
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
