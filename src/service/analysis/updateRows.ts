import { isWhole, type Operand, sizesOf, type TwoFactors, widthOf } from '../../adapters/parts.ts';
import { RankscopeError } from '../../base/errors.ts';
import { type Pause, yieldOrCancel } from '../../base/eventLoop.ts';
import { elementCount } from '../../base/shape.ts';
import type { Checkpoint, TensorInfo } from '../../checkpoint/checkpoint.ts';
import type { RowSource } from '../../devices/backend.ts';
import type { AdapterUpdate } from '../../model/adapters.ts';
import type { FactoredUpdate } from '../../spectrum/compareUpdates.ts';
import { productSvd } from '../../spectrum/smallSvd.ts';
import {
  factorsOfWhole,
  kroneckerFactors,
  type SizedFactors,
  type ThinFactors,
  thinFactors,
  withCore,
} from '../../spectrum/thinFactors.ts';
import { finiteFactors, type ThinProduct, thinProductRows } from '../../spectrum/thinProduct.ts';
import { transposeOf } from '../../spectrum/transpose.ts';

/** Rows of a small matrix that knows the singular values of an update. */
export interface UpdateRows extends RowSource {
  /** Of a Kronecker product: the singular values of its other factor; every value of the update is a product of one of each. */
  readonly spread?: (signal: AbortSignal | undefined) => Promise<Float64Array>;
}

/** The smaller factor of a Kronecker product is taken apart at once; real ones have some ten rows. */
const MOST_SPREAD = 512;
/** Singular values of one update. */
const MOST_VALUES = 2 ** 22;

/** How an update's spectrum is taken from its factors alone. */
export function updateRows(checkpoint: Checkpoint, name: string, update: AdapterUpdate): UpdateRows {
  const { stored, scale } = update;
  if (stored.kind !== 'lokr') {
    const parts = stored.kind === 'lora' ? [stored.product] : [stored.first, stored.second];
    return thinProductRows(productOf(checkpoint, name, parts, scale));
  }
  const [small, large] = [stored.first, stored.second].sort((one, other) => sizesOf(one).rank - sizesOf(other).rank);
  const rows = isWhole(large!)
    ? wholeRows(checkpoint, name, large.whole)
    : thinProductRows(productOf(checkpoint, name, [large!], 1));
  const ranks = [sizesOf(small!).rank, sizesOf(large!).rank] as const;
  return {
    ...rows,
    async read(row, out, signal) {
      if (ranks[0] > MOST_SPREAD || ranks[0] * ranks[1] > MOST_VALUES)
        throw new RankscopeError(
          'too-large',
          name,
          `its Kronecker factors have ${ranks[0]} and ${ranks[1]} singular values, more than can be multiplied`,
          'Real adapters stay far below: the file may be damaged',
        );
      await rows.read(row, out, signal);
    },
    async spread(signal) {
      const factors = await sizedFactors(checkpoint, name, small!, signal);
      const { values } = await svdOf(factors, yieldOrCancel(signal, name));
      return values.map((value) => Math.abs(scale) * value);
    },
  };
}

/** The update as one pair of factors, in f64 or as it was read. @throws RankscopeError 'not-finite', 'too-large' */
export async function updateFactors(
  checkpoint: Checkpoint,
  name: string,
  { stored, scale }: AdapterUpdate,
  signal: AbortSignal | undefined,
): Promise<FactoredUpdate> {
  if (stored.kind === 'lokr') {
    const one = await sizedFactors(checkpoint, name, stored.first, signal);
    const other = await sizedFactors(checkpoint, name, stored.second, signal);
    const product = kroneckerFactors(name, [one, other]);
    return { ...product, outputs: one.outputs * other.outputs, inputs: one.inputs * other.inputs, scale };
  }
  const parts = stored.kind === 'lora' ? [stored.product] : [stored.first, stored.second];
  const product = productOf(checkpoint, name, parts, scale);
  const { outputs, inputs, ranks } = product;
  const factors = await thinFactors(
    name,
    await finiteFactors(product, signal),
    outputs,
    inputs,
    yieldOrCancel(signal, name),
  );
  const sized = { ...factors, outputs, inputs, rank: ranks.reduce((all, each) => all * each, 1), scale };
  return stored.kind === 'lora' && stored.embedding ? transposed(sized) : sized;
}

function productOf(checkpoint: Checkpoint, name: string, parts: readonly TwoFactors[], scale: number): ThinProduct {
  const sizes = parts.map(sizesOf);
  const { outputs, inputs } = sizes[0]!;
  return {
    name,
    outputs,
    inputs,
    ranks: sizes.map(({ rank }) => rank),
    scale,
    load: (signal) => Promise.all(parts.map((part) => loadFactors(checkpoint, name, part, signal))),
  };
}

async function loadFactors(
  checkpoint: Checkpoint,
  name: string,
  part: TwoFactors,
  signal: AbortSignal | undefined,
): Promise<ThinFactors> {
  const { outputs, rank } = sizesOf(part);
  const { core, singular } = part;
  const stored = await valuesOf(checkpoint, part.up, signal);
  const up = part.upIsTransposed ? transposeOf(stored, outputs) : stored;
  if (singular) {
    const between = await valuesOf(checkpoint, singular, signal);
    for (let i = 0; i < outputs; i++) for (let k = 0; k < rank; k++) up[i * rank + k]! *= between[k]!;
  }
  const down = await valuesOf(checkpoint, part.down, signal);
  if (!core) return { up, down };
  const kernel = elementCount(core.shape.slice(2));
  const sizes = [rank, core.shape[1]!, widthOf(part.down), kernel] as const;
  return { up, down: withCore(name, await valuesOf(checkpoint, core, signal), down, sizes) };
}

async function sizedFactors(
  checkpoint: Checkpoint,
  name: string,
  operand: Operand,
  signal: AbortSignal | undefined,
): Promise<SizedFactors> {
  const { outputs, inputs, rank } = sizesOf(operand);
  if (isWhole(operand)) {
    const values = await valuesOf(checkpoint, operand.whole, signal);
    const ranks = [inputs];
    // Checked as a factor is: what is not finite is named.
    await finiteFactors(
      { name, inputs, ranks, load: async () => [{ up: values, down: values.subarray(0, 0) }] },
      signal,
    );
    return factorsOfWhole(values, outputs, inputs);
  }
  const product = productOf(checkpoint, name, [operand], 1);
  return { ...(await finiteFactors(product, signal))[0]!, outputs, inputs, rank };
}

async function valuesOf(
  checkpoint: Checkpoint,
  tensor: TensorInfo,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const values = new Float32Array(elementCount(tensor.shape));
  await checkpoint.read(tensor, 0, values, signal);
  return values;
}

function wholeRows(checkpoint: Checkpoint, name: string, tensor: TensorInfo): RowSource {
  const cols = widthOf(tensor);
  return {
    name,
    rows: tensor.shape[0]!,
    cols,
    read: (row, out, signal) => checkpoint.read(tensor, row * cols, out, signal),
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

function transposed(factors: FactoredUpdate): FactoredUpdate {
  const { up, down, outputs, inputs, rank, scale } = factors;
  return {
    up: transposeOf(down, inputs),
    down: transposeOf(up, rank),
    outputs: inputs,
    inputs: outputs,
    rank,
    scale,
  };
}
