import { RankscopeError } from '../base/errors.ts';
import { type Pause, yieldOrCancel } from '../base/eventLoop.ts';
import { elementCount } from '../base/shape.ts';
import { type Tensor, valuesOf } from '../checkpoint/tensor.ts';
import type { RowSource } from '../devices/backend.ts';
import type { MatrixRows } from '../model/matrixBase.ts';
import { productSvd } from '../spectrum/smallSvd.ts';
import {
  factorsOfWhole,
  kroneckerFactors,
  type SizedFactors,
  type ThinFactors,
  thinFactors,
  withCore,
} from '../spectrum/thinFactors.ts';
import { finiteFactors, type ThinProduct, thinProductRows } from '../spectrum/thinProduct.ts';
import type { FactoredUpdate } from './comparison/compareUpdates.ts';
import { factorValues } from './factor.ts';
import { type ComputedUpdate, isWhole, type Operand, sizesOf, type TwoFactors, widthOf } from './parts.ts';
import type { Update } from './update.ts';

/**
 * Bound on the smaller factor of a Kronecker product, which is decomposed in one step; real ones have about ten rows.
 */
const MOST_SPREAD = 512;
/** Bound on the singular values of one update. */
const MOST_VALUES = 2 ** 22;

/** Rows of a small matrix with the nonzero singular values of an update, computed from its factors alone. */
export function updateRows(name: string, update: Update): MatrixRows {
  const { stored, scale } = update;
  if (stored.kind === 'computed') {
    const { load } = stored;
    return 'matrix' in load ? computedRows(name, stored, scale) : thinProductRows(computedProduct(name, stored, scale));
  }
  if (stored.kind !== 'lokr') {
    const parts = stored.kind === 'lora' ? [stored.product] : [stored.first, stored.second];
    return thinProductRows(productOf(name, parts, scale));
  }
  const [small, large] = [stored.first, stored.second].sort((one, other) => sizesOf(one).rank - sizesOf(other).rank);
  const rows = isWhole(large!) ? wholeRows(name, large.whole) : thinProductRows(productOf(name, [large!], 1));
  const ranks = [sizesOf(small!).rank, sizesOf(large!).rank] as const;
  return {
    ...rows,
    async read(row, out, signal) {
      if (ranks[0] > MOST_SPREAD || ranks[0] * ranks[1] > MOST_VALUES)
        throw new RankscopeError(
          'too-large',
          name,
          `its Kronecker factors have ${ranks[0]} and ${ranks[1]} singular values, too many to multiply`,
          'Real adapters have far fewer: the file may be damaged',
        );
      await rows.read(row, out, signal);
    },
    async spread(signal) {
      const factors = await sizedFactors(name, small!, signal);
      const { values } = await svdOf(factors, yieldOrCancel(signal, name));
      return values.map((value) => Math.abs(scale) * value);
    },
  };
}

/** The update as one pair of factors. @throws RankscopeError 'not-finite', 'too-large' */
export async function updateFactors(
  name: string,
  { stored, scale }: Update,
  signal: AbortSignal | undefined,
): Promise<FactoredUpdate> {
  if (stored.kind === 'lokr') {
    const one = await sizedFactors(name, stored.first, signal);
    const other = await sizedFactors(name, stored.second, signal);
    const product = kroneckerFactors(name, [one, other]);
    return { ...product, outputs: one.outputs * other.outputs, inputs: one.inputs * other.inputs, scale };
  }
  if (stored.kind === 'computed' && 'matrix' in stored.load) {
    const { outputs, inputs } = stored;
    return { ...factorsOfWhole(await computedMatrix(name, stored, signal), outputs, inputs), scale };
  }
  const product =
    stored.kind === 'computed'
      ? computedProduct(name, stored, scale)
      : productOf(name, stored.kind === 'lora' ? [stored.product] : [stored.first, stored.second], scale);
  const { outputs, inputs, ranks } = product;
  const factors = await thinFactors(
    name,
    await finiteFactors(product, signal),
    outputs,
    inputs,
    yieldOrCancel(signal, name),
  );
  return { ...factors, outputs, inputs, rank: ranks.reduce((all, each) => all * each, 1), scale };
}

function computedProduct(name: string, { outputs, inputs, rank, load }: ComputedUpdate, scale: number): ThinProduct {
  if (!('factors' in load)) throw new Error(`${name} is no product`);
  return { name, outputs, inputs, ranks: [rank], scale, load: async (signal) => [await load.factors(signal)] };
}

/** The matrix itself, which is computed when its first row is read. */
function computedRows(name: string, update: ComputedUpdate, scale: number): RowSource {
  const { outputs, inputs } = update;
  let loaded: Promise<Float32Array | Float64Array> | undefined;
  return {
    name,
    rows: outputs,
    cols: inputs,
    async read(row, out, signal) {
      loaded ??= computedMatrix(name, update, signal);
      const values = await loaded;
      for (let i = 0, at = row * inputs; i < out.length; i++, at++) out[i] = scale * values[at]!;
    },
  };
}

async function computedMatrix(
  name: string,
  { inputs, load }: ComputedUpdate,
  signal: AbortSignal | undefined,
): Promise<Float32Array | Float64Array> {
  if (!('matrix' in load)) throw new Error(`${name} is no matrix`);
  const values = await load.matrix(signal);
  await finiteFactors(
    { name, inputs, ranks: [inputs], load: async () => [{ up: values, down: values.subarray(0, 0) }] },
    signal,
  );
  return values;
}

function productOf(name: string, parts: readonly TwoFactors[], scale: number): ThinProduct {
  const sizes = parts.map(sizesOf);
  const { outputs, inputs } = sizes[0]!;
  return {
    name,
    outputs,
    inputs,
    ranks: sizes.map(({ rank }) => rank),
    scale,
    load: (signal) => Promise.all(parts.map((part) => loadFactors(name, part, signal))),
  };
}

async function loadFactors(name: string, part: TwoFactors, signal: AbortSignal | undefined): Promise<ThinFactors> {
  const { outputs, rank } = sizesOf(part);
  const { core, singular } = part;
  const up = await factorValues(part.up, signal);
  if (singular) {
    const between = await valuesOf(singular, signal);
    for (let i = 0; i < outputs; i++) for (let k = 0; k < rank; k++) up[i * rank + k]! *= between[k]!;
  }
  const down = await factorValues(part.down, signal);
  if (!core) return { up, down };
  const kernel = elementCount(core.shape.slice(2));
  const sizes = [rank, core.shape[1]!, part.down.cols, kernel] as const;
  return { up, down: withCore(name, await valuesOf(core, signal), down, sizes) };
}

async function sizedFactors(name: string, operand: Operand, signal: AbortSignal | undefined): Promise<SizedFactors> {
  const { outputs, inputs, rank } = sizesOf(operand);
  if (isWhole(operand)) {
    const values = await valuesOf(operand.whole, signal);
    const ranks = [inputs];
    // Checked like a factor, so that an error names the entry that is not finite.
    await finiteFactors(
      { name, inputs, ranks, load: async () => [{ up: values, down: values.subarray(0, 0) }] },
      signal,
    );
    return factorsOfWhole(values, outputs, inputs);
  }
  const product = productOf(name, [operand], 1);
  return { ...(await finiteFactors(product, signal))[0]!, outputs, inputs, rank };
}

function wholeRows(name: string, tensor: Tensor): RowSource {
  const cols = widthOf(tensor);
  return {
    name,
    rows: tensor.shape[0]!,
    cols,
    read: (row, out, signal) => tensor.read(row * cols, out, signal),
  };
}

function svdOf({ up, down, outputs, inputs, rank }: SizedFactors, pause: Pause) {
  const columns = (height: number, entry: (row: number, col: number) => number) =>
    Array.from({ length: rank }, (_, col) => Float64Array.from({ length: height }, (_, row) => entry(row, col)));
  return productSvd(
    columns(outputs, (row, col) => up[row * rank + col]!),
    columns(inputs, (row, col) => down[col * inputs + row]!),
    pause,
  );
}
