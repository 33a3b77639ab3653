import { RankscopeError } from '../../base/errors.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import type { AdapterReading } from '../readAdapter.ts';
import type { Update } from '../update.ts';
import { updateFactors } from '../updateRows.ts';

/** An adapted layer that can be written as B A. */
export interface AdapterLayer {
  readonly target: string;
  readonly update: Update;
  readonly form: LayerForm;
  readonly dtype: string;
  readonly magnitude?: Tensor;
}

/** `kernel` has the sizes behind the channels of a convolution; the table of an embedding is the transpose of B A. */
export interface LayerForm {
  readonly kind: 'linear' | 'embedding' | 'kernel';
  /** [channels, height, width ...] of a convolution's A. */
  readonly kernel: readonly number[];
}

/** scale B A of a layer: B is m x r and A is r x n, row-major, as PEFT stores them. */
export interface LayerFactors {
  readonly up: ArrayLike<number>;
  readonly down: ArrayLike<number>;
  readonly outputs: number;
  readonly inputs: number;
  readonly rank: number;
  readonly scale: number;
}

/** A layer to write: its factors, with the scale that its configuration shall state. */
export interface LayerToWrite {
  readonly target: string;
  readonly form: LayerForm;
  readonly factors: LayerFactors;
}

export interface NamedValues {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}

/** Factors beyond this rank are whole matrices in disguise, whose decomposition is not one of thin factors. */
const MOST_RANK = 1024;

/**
 * The layers of an adapter.
 * @throws RankscopeError 'wrong-use' if it is none or has several adapters, 'unsupported' for a layer that is no B A.
 */
export function adapterLayers(path: string, { updates, refused }: AdapterReading): AdapterLayer[] {
  const [first] = refused;
  if (first) throw unsupported(path, first.target, first.reason);
  if (updates.length === 0)
    throw new RankscopeError('wrong-use', path, 'it holds no LoRA adapter', 'Give the file or folder of an adapter');
  const names = new Set(updates.map(({ adapter }) => adapter));
  if (names.size > 1)
    throw new RankscopeError(
      'wrong-use',
      path,
      `it holds several adapters: ${[...names].join(', ')}`,
      'Give the folder of one of them',
    );
  return updates.map((update) => layerOf(path, update));
}

function layerOf(path: string, update: Update): AdapterLayer {
  const { target, stored, stack, tensors, dora, rank } = update;
  if (stack) throw unsupported(path, target, 'it is one of a stack of experts that share their tensors');
  if (rank > MOST_RANK) throw unsupported(path, target, `its rank is ${rank}, above the ${MOST_RANK} supported`);
  const dtype = tensors[0]!.dtype;
  const magnitude = dora ? { magnitude: tensors.at(-1)! } : {};
  const down = stored.kind === 'lora' ? stored.product.down.tensor : undefined;
  const isTable = tensors.some(({ name }) => /\.lora_embedding_[AB]/.test(name));
  const kernel = !isTable && down && down.shape.length > 2 ? kernelOf(update) : [];
  return {
    target,
    update,
    dtype,
    form: { kind: isTable ? 'embedding' : kernel.length > 0 ? 'kernel' : 'linear', kernel },
    ...magnitude,
  };
}

function kernelOf({ stored }: Update): number[] {
  if (stored.kind !== 'lora') return [];
  const { down, core } = stored.product;
  return core ? [down.cols, ...core.shape.slice(2)] : down.tensor.shape.slice(1);
}

function unsupported(path: string, target: string, reason: string): RankscopeError {
  return new RankscopeError(
    'unsupported',
    path,
    `${target}: ${reason}`,
    'Only adapters of the form B A can be written',
  );
}

/** Reads the factors of a layer. @throws RankscopeError 'not-finite' */
export async function layerFactors(
  { target, update, form }: AdapterLayer,
  signal: AbortSignal | undefined,
): Promise<LayerFactors> {
  const { up, down, outputs, inputs, rank, scale } = await updateFactors(target, update, signal);
  if (form.kind !== 'embedding') return { up, down, outputs, inputs, rank, scale };
  // The update of a table is A^T B^T: PEFT's B is the transpose of its second factor.
  return {
    up: transposed(down, rank, inputs),
    down: transposed(up, outputs, rank),
    outputs: inputs,
    inputs: outputs,
    rank,
    scale,
  };
}

function transposed(values: ArrayLike<number>, rows: number, cols: number): Float64Array {
  const out = new Float64Array(values.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) out[j * rows + i] = values[i * cols + j]!;
  return out;
}
