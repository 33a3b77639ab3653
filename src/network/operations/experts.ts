import type { Matrix } from '../../devices/backend.ts';
import type { Activation, ExpertSettings } from '../configuration/decoder.ts';
import { type FeedForward, feedForward } from './feedForward.ts';
import { type Linear, linear } from './linear.ts';
import type { Rows } from './rows.ts';
import type { Scope } from './run.ts';

/** A mixture of experts. */
export interface Mixture {
  readonly router: Linear;
  readonly experts: readonly FeedForward[];
  /** An expert that every token passes through, weighted by the logistic function of `weight x`. */
  readonly shared?: { readonly part: FeedForward; readonly weight: Float32Array | undefined } | undefined;
}

/** The sum of each token's chosen experts, weighted by the router's probabilities (Fedus et al., arXiv 2101.03961). */
export async function mixture(
  scope: Scope,
  x: Matrix,
  { router, experts, shared }: Mixture,
  settings: ExpertSettings,
  f: Activation,
): Promise<Matrix> {
  const { backend } = scope;
  const [scores] = await linear(scope, x, [router]);
  const chosen = choices(await scope.download(scores!), settings);
  const y = await scope.take(x.rows, x.cols);
  await backend.upload(y, 0, y.rows, (out) => void out.fill(0));
  for (const [expert, tokens] of chosen.entries()) {
    if (tokens.length === 0) continue;
    const rows = Int32Array.from(tokens, ({ row }) => row);
    const input = await scope.take(rows.length, x.cols);
    await backend.network.gatherRows(input, x, rows);
    const part = await feedForward(scope, input, experts[expert]!, f);
    await backend.network.scatterRows(
      y,
      part,
      rows,
      Float32Array.from(tokens, ({ weight }) => weight),
    );
    scope.free(input, part);
  }
  if (shared) {
    const part = await feedForward(scope, x, shared.part, f);
    const rows = Int32Array.from({ length: x.rows }, (_, row) => row);
    await backend.network.scatterRows(y, part, rows, await sharedWeights(scope, x, shared.weight));
    scope.free(part);
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

/** The weight of the shared expert for each row. */
async function sharedWeights(scope: Scope, x: Matrix, weight: Float32Array | undefined): Promise<Float32Array> {
  if (!weight) return new Float32Array(x.rows).fill(1);
  const matrix = await scope.upload({ rows: 1, cols: x.cols, values: weight });
  const name = 'weight of the shared expert';
  const layer = { name, outputs: 1, inputs: x.cols, steps: [{ matrix, transpose: true }], bias: undefined };
  const [products] = await linear(scope, x, [layer]);
  const { values } = await scope.download(products!);
  scope.free(matrix);
  return values.map((product) => 1 / (1 + Math.exp(-product)));
}
