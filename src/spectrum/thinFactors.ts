import { RankscopeError } from '../base/errors.ts';
import type { Pause } from '../base/eventLoop.ts';

/** B and A of a product B A, row-major. */
export interface ThinFactors {
  /** m x r. */
  readonly up: Float32Array | Float64Array;
  /** r x n. */
  readonly down: Float32Array | Float64Array;
}

/** Numbers allowed in the factors of a product of products: 1 GiB in f64. Real adapters have a few million. */
const MOST_NUMBERS = 2 ** 27;

/**
 * Factors B A of the Hadamard product (B1 A1) o (B2 A2) o ...: for two, each column of B is the Hadamard product of a
 * column of B1 and one of B2, and each row of A likewise (Khatri and Rao 1968; used for LoHa by Hyeon-Woo, Ye-Bin and
 * Oh, "FedPara", 2022). The rank is r1 r2.
 * @throws RankscopeError 'too-large' before memory is taken
 */
export async function thinFactors(
  name: string,
  [first, ...others]: readonly ThinFactors[],
  outputs: number,
  inputs: number,
  pause: Pause,
): Promise<ThinFactors> {
  let { up, down } = first!;
  for (const other of others) {
    const [r1, r2] = [up.length / outputs, other.up.length / outputs];
    refuseTooLarge(name, (outputs + inputs) * r1 * r2);
    const left = new Float64Array(outputs * r1 * r2);
    for (let i = 0, at = 0; i < outputs; i++) {
      await pause();
      for (let p = 0; p < r1; p++) for (let q = 0; q < r2; q++) left[at++] = up[i * r1 + p]! * other.up[i * r2 + q]!;
    }
    const right = new Float64Array(r1 * r2 * inputs);
    for (let p = 0, at = 0; p < r1; p++)
      for (let q = 0; q < r2; q++) {
        await pause();
        for (let j = 0; j < inputs; j++) right[at++] = down[p * inputs + j]! * other.down[q * inputs + j]!;
      }
    [up, down] = [left, right];
  }
  return { up, down };
}

/**
 * Factors of the Kronecker product (B1 A1) (x) (B2 A2) = (B1 (x) B2) (A1 (x) A2), of rank r1 r2.
 * @throws RankscopeError 'too-large'
 */
export function kroneckerFactors(
  name: string,
  [one, other]: readonly [SizedFactors, SizedFactors],
): ThinFactors & { readonly rank: number } {
  const rank = one.rank * other.rank;
  refuseTooLarge(name, rank * (one.outputs * other.outputs + one.inputs * other.inputs));
  return {
    up: kronecker(one.up, other.up, [one.outputs, one.rank], [other.outputs, other.rank]),
    down: kronecker(one.down, other.down, [one.rank, one.inputs], [other.rank, other.inputs]),
    rank,
  };
}

export interface SizedFactors extends ThinFactors {
  readonly outputs: number;
  readonly inputs: number;
  readonly rank: number;
}

/** Factors of a matrix with the identity on its shorter side. */
export function factorsOfWhole(values: ThinFactors['up'], outputs: number, inputs: number): SizedFactors {
  const rank = Math.min(outputs, inputs);
  const identity = new Float64Array(rank * rank);
  for (let i = 0; i < rank; i++) identity[i * rank + i] = 1;
  const sizes = { outputs, inputs, rank };
  return outputs < inputs ? { ...sizes, up: identity, down: values } : { ...sizes, up: values, down: identity };
}

/**
 * The A of a convolution in three factors, r x (n h w): A[i, (c, h, w)] = sum_j core[i, j, h, w] down[j, c]
 * @throws RankscopeError 'too-large'
 */
export function withCore(
  name: string,
  core: Float32Array,
  down: Float32Array,
  [rank, inner, channels, kernel]: readonly [rank: number, inner: number, channels: number, kernel: number],
): Float64Array {
  refuseTooLarge(name, rank * channels * kernel);
  const product = new Float64Array(rank * channels * kernel);
  for (let i = 0; i < rank; i++)
    for (let j = 0; j < inner; j++)
      for (let c = 0; c < channels; c++)
        for (let k = 0; k < kernel; k++)
          product[(i * channels + c) * kernel + k]! += core[(i * inner + j) * kernel + k]! * down[j * channels + c]!;
  return product;
}

function kronecker(
  a: ThinFactors['up'],
  b: ThinFactors['up'],
  [rows, cols]: readonly [number, number],
  [innerRows, innerCols]: readonly [number, number],
): Float64Array {
  const out = new Float64Array(a.length * b.length);
  let at = 0;
  for (let i = 0; i < rows; i++)
    for (let p = 0; p < innerRows; p++)
      for (let j = 0; j < cols; j++)
        for (let q = 0; q < innerCols; q++) out[at++] = a[i * cols + j]! * b[p * innerCols + q]!;
  return out;
}

function refuseTooLarge(name: string, numbers: number): void {
  if (numbers <= MOST_NUMBERS) return;
  throw new RankscopeError(
    'too-large',
    name,
    `the factors of its product would have ${numbers} numbers, more than the ${MOST_NUMBERS} allowed`,
    'Real adapters are far smaller: the file may be damaged',
  );
}
