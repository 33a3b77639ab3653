import type { Activation, ExpertSettings } from '../configuration/decoder.ts';
import { type FeedForward, feedForward } from './feedForward.ts';
import { type Linear, linear } from './linear.ts';
import { emptyRows, type Rows } from './rows.ts';
import type { Run } from './run.ts';

/** A mixture of experts. */
export interface Mixture {
  readonly router: Linear;
  readonly experts: readonly FeedForward[];
  /** An expert that every token passes through, weighted by the logistic function of `weight x`. */
  readonly shared?: { readonly part: FeedForward; readonly weight: Float32Array | undefined } | undefined;
}

/** The sum of each token's chosen experts, weighted by the router's probabilities (Fedus et al., arXiv 2101.03961). */
export async function mixture(
  run: Run,
  x: Rows,
  { router, experts, shared }: Mixture,
  settings: ExpertSettings,
  f: Activation,
): Promise<Rows> {
  const [scores] = await linear(run, x, [router]);
  const chosen = choices(scores!, settings);
  const y = emptyRows(x.rows, x.cols);
  for (const [expert, tokens] of chosen.entries()) {
    if (tokens.length === 0) continue;
    const input = emptyRows(tokens.length, x.cols);
    for (const [k, { row }] of tokens.entries())
      input.values.set(x.values.subarray(row * x.cols, (row + 1) * x.cols), k * x.cols);
    add(y, await feedForward(run, input, experts[expert]!, f), tokens);
  }
  if (shared) {
    const weights = Array.from({ length: x.rows }, (_, row) => ({ row, weight: sharedWeight(x, row, shared.weight) }));
    add(y, await feedForward(run, x, shared.part, f), weights);
  }
  return y;
}

interface Token {
  readonly row: number;
  readonly weight: number;
}

/** For each expert the tokens that pass through it. */
function choices(scores: Rows, { count, used, normalized }: ExpertSettings): Token[][] {
  const tokens = Array.from({ length: count }, (): Token[] => []);
  for (let row = 0; row < scores.rows; row++) {
    const own = scores.values.subarray(row * count, (row + 1) * count);
    const largest = own.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
    const weights = Array.from(own, (score) => Math.exp(score - largest));
    const best = weights.map((weight, expert) => ({ weight, expert })).sort((a, b) => b.weight - a.weight);
    const top = best.slice(0, used);
    const total = (normalized ? top : best).reduce((sum, { weight }) => sum + weight, 0);
    for (const { weight, expert } of top) tokens[expert]!.push({ row, weight: weight / total });
  }
  return tokens;
}

function sharedWeight({ cols, values }: Rows, row: number, weight: Float32Array | undefined): number {
  if (!weight) return 1;
  let product = 0;
  for (let i = 0; i < cols; i++) product += values[row * cols + i]! * weight[i]!;
  return 1 / (1 + Math.exp(-product));
}

/** Adds row k of `part`, times its weight, to row `tokens[k].row` of `y`. */
function add(y: Rows, part: Rows, tokens: readonly Token[]): void {
  for (const [k, { row, weight }] of tokens.entries())
    for (let i = 0; i < y.cols; i++) y.values[row * y.cols + i]! += weight * part.values[k * y.cols + i]!;
}
