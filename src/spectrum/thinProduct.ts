import { RankscopeError } from '../base/errors.ts';
import { yieldOrCancel } from '../base/eventLoop.ts';
import type { RowSource } from '../devices/backend.ts';
import { type ThinFactors, thinFactors } from './thinFactors.ts';
import { triangle } from './triangle.ts';

/** The Hadamard product scale (B1 A1) o (B2 A2) o ..., with each B m x r and each A r x n; usually of one factor. */
export interface ThinProduct {
  readonly name: string;
  readonly outputs: number;
  readonly inputs: number;
  /** r of each factor. */
  readonly ranks: readonly number[];
  readonly scale: number;
  /** Called once. */
  load(signal: AbortSignal | undefined): Promise<readonly ThinFactors[]>;
}

/**
 * A matrix with the nonzero singular values of the product: r x r from the factors alone, or the product itself by rows
 * if the rank is too near the sizes for that to pay.
 * @throws RankscopeError 'not-finite' for NaN or infinity in a factor
 */
export function thinProductRows(product: ThinProduct): RowSource {
  const { outputs: m, inputs: n, ranks } = product;
  const rank = ranks.reduce((all, each) => all * each, 1);
  const all = ranks.reduce((sum, each) => sum + each, 0);
  // The triangles are computed here, in plain JavaScript; a device reduces the formed product about ten times as fast.
  const forming = m * n * (all + Math.min(m, n) / 10);
  return rank < Math.min(m, n) && (m + n) * rank ** 2 < forming ? core(product, rank) : formed(product);
}

/**
 * An r x r matrix with the singular values of scale B A, which is never formed: with B = Q1 R1 and A^T = Q2 R2 the
 * product is Q1 (scale R1 R2^T) Q2^T, and orthonormal columns change no singular value (Bebendorf, "Hierarchical
 * Matrices", 2008, section 1.1.4). Costs 2 (m + n) r^2 multiplications. Both triangles are computed in f64, because
 * rounding is relative to ||B|| ||A||, which may be far above ||B A||.
 */
function core(product: ThinProduct, rank: number): RowSource {
  const { name, scale } = product;
  let triangles: Promise<readonly [Float64Array, Float64Array]> | undefined;
  return {
    name,
    rows: rank,
    cols: rank,
    async read(row, out, signal) {
      triangles ??= trianglesOf(product, rank, signal);
      const [left, right] = await triangles;
      const pause = yieldOrCancel(signal, name);
      for (let i = 0; i < out.length / rank; i++) {
        await pause();
        for (let j = 0; j < rank; j++) {
          let sum = 0;
          for (let k = Math.max(row + i, j); k < rank; k++) sum += left[k * rank + row + i]! * right[k * rank + j]!;
          out[i * rank + j] = scale * sum;
        }
      }
    },
  };
}

async function trianglesOf(product: ThinProduct, rank: number, signal: AbortSignal | undefined) {
  const { name, outputs, inputs } = product;
  const pause = yieldOrCancel(signal, name);
  const { up, down } = await thinFactors(name, await finiteFactors(product, signal), outputs, inputs, pause);
  const left = await triangle(outputs, rank, (row, col) => up[row * rank + col]!, pause);
  const right = await triangle(inputs, rank, (row, col) => down[col * inputs + row]!, pause);
  return [left, right] as const;
}

/** The product itself, row by row on demand, summed in f64. */
function formed(product: ThinProduct): RowSource {
  const { name, outputs, inputs, ranks, scale } = product;
  let loaded: Promise<readonly ThinFactors[]> | undefined;
  return {
    name,
    rows: outputs,
    cols: inputs,
    async read(row, out, signal) {
      loaded ??= finiteFactors(product, signal);
      const factors = await loaded;
      const pause = yieldOrCancel(signal, name);
      const sums = new Float64Array(inputs);
      for (let i = 0; i < out.length / inputs; i++) {
        const target = out.subarray(i * inputs, (i + 1) * inputs).fill(scale);
        for (const [index, { up, down }] of factors.entries()) {
          const rank = ranks[index]!;
          sums.fill(0);
          for (let k = 0; k < rank; k++) {
            await pause();
            const factor = up[(row + i) * rank + k]!;
            const begin = k * inputs;
            for (let j = 0; j < inputs; j++) sums[j]! += factor * down[begin + j]!;
          }
          for (let j = 0; j < inputs; j++) target[j]! *= sums[j]!;
        }
      }
    },
  };
}

/** The factors of the product. @throws RankscopeError 'not-finite' */
export async function finiteFactors(
  { name, inputs, ranks, load }: Pick<ThinProduct, 'name' | 'inputs' | 'ranks' | 'load'>,
  signal: AbortSignal | undefined,
): Promise<readonly ThinFactors[]> {
  const factors = await load(signal);
  for (const [index, { up, down }] of factors.entries()) {
    const mark = factors.length > 1 ? `${index + 1}` : '';
    refuseNotFinite(name, `B${mark}`, up, ranks[index]!);
    refuseNotFinite(name, `A${mark}`, down, inputs);
  }
  return factors;
}

function refuseNotFinite(name: string, factor: string, values: ThinFactors['up'], cols: number): void {
  let first = 0;
  while (first < values.length && Number.isFinite(values[first])) first++;
  if (first === values.length) return;
  throw new RankscopeError(
    'not-finite',
    name,
    `entry [${Math.floor(first / cols)}, ${first % cols}] of its factor ${factor} is ${values[first]}`,
    'A matrix with NaN or infinity has no singular values: repair the checkpoint or leave this tensor out',
  );
}
