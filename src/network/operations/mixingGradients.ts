import type { Matrix } from '../../devices/backend.ts';
import type { ExpertSettings } from '../configuration/decoder.ts';
import { emptyRows, type Rows } from './rows.ts';
import type { Tape } from './tape.ts';

/** A row that passes through an expert, whose outputs are added to the row's sum with this weight. */
export interface Token {
  readonly row: number;
  readonly weight: number;
}

/**
 * The gradients of a mixture of experts, which wait on the host as its rows do. Which experts a token passes through
 * is fixed; their weights depend on the router's scores.
 */
export class MixingGradients {
  /** Of the sum of all experts. */
  private ofSum: Float32Array;
  private readonly ofInput: Rows;
  /** Of the weight of each row and expert, or 0 where the row does not pass through it. */
  private readonly ofWeights: Float64Array;

  constructor(
    private readonly rows: number,
    private readonly cols: number,
    private readonly settings: ExpertSettings,
  ) {
    this.ofSum = new Float32Array(rows * cols);
    this.ofInput = emptyRows(rows, cols);
    this.ofWeights = new Float64Array(rows * settings.count);
  }

  /** Begins with the gradient of the sum. */
  async summed(tape: Tape, sum: Matrix): Promise<void> {
    const gradient = tape.take(sum);
    if (!gradient) return;
    this.ofSum = await tape.backend.download(gradient);
    tape.backend.free(gradient);
  }

  /** The gradient of what an expert made of its tokens, and of their weights. @param y its rows, of the matrix `out` */
  async weighted(tape: Tape, out: Matrix, y: Rows, tokens: readonly Token[], expert: number): Promise<void> {
    for (const [row, gradient] of (await this.partBack(tape, out, y, tokens)).entries())
      this.ofWeights[tokens[row]!.row * this.settings.count + expert] = gradient;
  }

  /** Adds the gradient of an expert's input to that of the rows that it was made of. */
  async gathered(tape: Tape, own: Matrix, tokens: readonly Token[]): Promise<void> {
    const gradient = tape.take(own);
    if (!gradient) return;
    const values = await tape.backend.download(gradient);
    tape.backend.free(gradient);
    const { cols } = this;
    for (const [k, { row }] of tokens.entries())
      for (let i = 0; i < cols; i++) this.ofInput.values[row * cols + i]! += values[k * cols + i]!;
  }

  /** The same as `weighted` for the shared expert, whose weights are the logistic function of x `weight`. */
  async shared(
    tape: Tape,
    out: Matrix,
    y: Rows,
    tokens: readonly Token[],
    weight: Float32Array | undefined,
  ): Promise<void> {
    const ofShares = await this.partBack(tape, out, y, tokens);
    if (!weight) return;
    const { cols } = this;
    for (const [row, { weight: share }] of tokens.entries()) {
      const ofProduct = ofShares[row]! * share * (1 - share);
      for (let i = 0; i < cols; i++) this.ofInput.values[row * cols + i]! += ofProduct * weight[i]!;
    }
  }

  /** Ends with the gradients of the input and of the router's scores. */
  async routed(tape: Tape, x: Matrix, scores: Matrix, values: Rows, chosen: readonly (readonly Token[])[]) {
    await tape.add(scores, await this.onDevice(tape, this.scoresBack(values.values, chosen), this.settings.count));
    await tape.add(x, await this.onDevice(tape, this.ofInput.values, this.cols));
  }

  private async partBack(tape: Tape, out: Matrix, y: Rows, tokens: readonly Token[]): Promise<Float64Array> {
    const { cols, ofSum } = this;
    const ofPart = new Float32Array(tokens.length * cols);
    const ofWeights = new Float64Array(tokens.length);
    for (const [k, { row, weight }] of tokens.entries())
      for (let i = 0; i < cols; i++) {
        const gradient = ofSum[row * cols + i]!;
        ofPart[k * cols + i] = weight * gradient;
        ofWeights[k]! += gradient * y.values[k * cols + i]!;
      }
    await tape.add(out, await this.onDevice(tape, ofPart, cols));
    return ofWeights;
  }

  /** Through the softmax: over the chosen experts where their weights sum to one, else over all. */
  private scoresBack(scores: Float32Array, chosen: readonly (readonly Token[])[]): Float32Array {
    const { count, normalized } = this.settings;
    const shares = new Float64Array(this.rows * count);
    if (!normalized)
      for (let at = 0; at < shares.length; at += count) {
        const own = scores.subarray(at, at + count);
        const largest = own.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
        shares.set(
          own.map((score) => Math.exp(score - largest)),
          at,
        );
        const total = shares.subarray(at, at + count).reduce((sum, share) => sum + share, 0);
        for (let i = at; i < at + count; i++) shares[i]! /= total;
      }
    for (const [expert, tokens] of chosen.entries())
      for (const { row, weight } of tokens) shares[row * count + expert] = weight;
    const out = new Float32Array(shares.length);
    for (let at = 0; at < shares.length; at += count) {
      let mean = 0;
      for (let i = at; i < at + count; i++) mean += shares[i]! * this.ofWeights[i]!;
      for (let i = at; i < at + count; i++) out[i] = shares[i]! * (this.ofWeights[i]! - mean);
    }
    return out;
  }

  private async onDevice({ backend }: Tape, values: Float32Array, cols: number): Promise<Matrix> {
    const matrix = await backend.allocate(values.length / cols, cols);
    await backend.upload(matrix, 0, matrix.rows, (out) => out.set(values));
    return matrix;
  }
}
