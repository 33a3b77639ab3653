import type { Matrix } from '../../devices/backend.ts';
import type { Activation, ExpertSettings } from '../configuration/decoder.ts';
import { type FeedForward, feedForward } from './feedForward.ts';
import { type Linear, linear } from './linear.ts';
import { MixingGradients, type Token } from './mixingGradients.ts';
import { emptyRows, type Rows } from './rows.ts';
import { type Run, type Scope, withScope } from './run.ts';

/**
 * Rows on their way through the experts, one expert after the other: the sum of each token's chosen ones, weighted by
 * the router's probabilities (Fedus et al., arXiv 2101.03961). They wait on the host.
 */
export interface Mixing {
  readonly input: Rows;
  /** For each expert the rows that pass through it. */
  readonly chosen: readonly (readonly Token[])[];
  /** The sum so far. */
  readonly sum: Rows;
  readonly gradients: MixingGradients | undefined;
}

/** An expert that every token passes through, weighted by the logistic function of `weight x`. */
export interface SharedExpert {
  readonly part: FeedForward;
  readonly weight: Float32Array | undefined;
}

/** Chooses the experts of each row, and passes all through the shared one. */
export async function beginMixing(
  scope: Scope,
  x: Matrix,
  router: Linear,
  shared: SharedExpert | undefined,
  settings: ExpertSettings,
  f: Activation,
): Promise<Mixing> {
  const [scores] = await linear(scope, x, [router]);
  const values = await scope.download(scores!);
  const chosen = choices(values, settings);
  const { tape } = scope;
  const gradients = tape && new MixingGradients(x.rows, x.cols, settings);
  tape?.record([], (back) => gradients!.routed(back, x, scores!, values, chosen));
  const sum = emptyRows(x.rows, x.cols);
  if (shared) {
    const weights = await sharedWeights(scope, x, shared.weight);
    const tokens = Array.from(weights, (weight, row) => ({ row, weight }));
    const out = await feedForward(scope, x, shared.part, f);
    const part = await scope.download(out);
    tape?.record([], (back) => gradients!.shared(back, out, part, tokens, shared.weight));
    add(sum, part, tokens);
  }
  return { input: await scope.download(x), chosen, sum, gradients };
}

/** Adds what an expert makes of the rows that chose it. */
export async function mixExpert(
  run: Run,
  { input, chosen, sum, gradients }: Mixing,
  expert: number,
  part: FeedForward,
  f: Activation,
): Promise<void> {
  const tokens = chosen[expert]!;
  if (tokens.length === 0) return;
  const { cols, values } = input;
  const own = emptyRows(tokens.length, cols);
  for (const [k, { row }] of tokens.entries()) own.values.set(values.subarray(row * cols, (row + 1) * cols), k * cols);
  await run.pause();
  const y = await withScope(run, async (scope) => {
    const rows = await scope.upload(own);
    run.tape?.record([], (back) => gradients!.gathered(back, rows, tokens));
    const out = await feedForward(scope, rows, part, f);
    const passed = await scope.download(out);
    run.tape?.record([], (back) => gradients!.weighted(back, out, passed, tokens, expert));
    return passed;
  });
  add(sum, y, tokens);
}

/** The sum of all experts, in device memory. */
export async function endMixing(scope: Scope, { sum, gradients }: Mixing): Promise<Matrix> {
  const matrix = await scope.upload(sum);
  scope.tape?.record([], (back) => gradients!.summed(back, matrix));
  return matrix;
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
  const products = await scope.take(x.rows, 1);
  await scope.backend.multiply(products, x, matrix, { transposeB: true });
  scope.free(matrix);
  const { values } = await scope.download(products);
  return values.map((product) => 1 / (1 + Math.exp(-product)));
}

/** Adds row k of `part`, times its weight, to row `tokens[k].row` of `sum`. */
function add(sum: Rows, part: Rows, tokens: readonly Token[]): void {
  const { cols } = sum;
  for (const [k, { row, weight }] of tokens.entries())
    for (let i = 0; i < cols; i++) sum.values[row * cols + i]! += weight * part.values[k * cols + i]!;
}
