import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import { elementCount } from '../base/shape.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import type { StoredMatrix } from '../model/storedMatrix.ts';
import { encode, FACTOR_BYTES, type FactorType } from './encode.ts';
import type { TensorToWrite } from './safetensorsWriter.ts';

/** Entries that are written at a time. */
const STEP = 2 ** 20;

/** Blocks of an [out, in] matrix that are read from another model. */
export interface Patch {
  /** How the tensor is stored as a matrix; null for a vector. */
  readonly matrix: StoredMatrix | null;
  /** The rows that replace those from `row` on; held open while the file is written. */
  readonly source: { readonly cols: number; read(row: number, out: Float32Array, signal?: AbortSignal): Promise<void> };
  readonly row: number;
  readonly blocks: readonly { readonly axis: 'rows' | 'columns'; readonly from: number; readonly count: number }[];
}

/**
 * The tensor with some blocks of another model. Its other entries keep their bytes, where its type is a float that
 * products are computed in; otherwise all are written as F32.
 * @throws RankscopeError 'unsupported' for a tensor that is no plain matrix or vector
 */
export function mixedTensor(tensor: Tensor, patches: readonly Patch[]): TensorToWrite {
  const { name, shape } = tensor;
  const transposed = patches.some(({ matrix }) => matrix?.transposed === true);
  if (shape.length > 2 || patches.some(({ matrix }) => matrix !== null && matrix.name !== name))
    throw new RankscopeError('unsupported', name, 'heads in a stack of matrices', 'Convert the checkpoint first');
  const keeps = tensor.readStored !== undefined && Object.hasOwn(FACTOR_BYTES, tensor.dtype);
  const dtype = keeps ? (tensor.dtype as FactorType) : 'F32';
  const size = FACTOR_BYTES[dtype];
  const [rows, cols] = shape.length === 2 ? (shape as [number, number]) : [elementCount(shape), 1];
  return {
    name,
    shape,
    dtype,
    bytes: rows * cols * size,
    async *content(signal) {
      const step = Math.max(1, Math.floor(STEP / cols));
      for (let row = 0; row < rows; row += step) {
        throwIfCancelled(signal, name);
        const count = Math.min(step, rows - row);
        const bytes = await storedRows(tensor, row * cols, count * cols, keeps ? size : null, signal);
        for (const patch of patches)
          if (transposed) await overlayTransposed(bytes, { row, count, cols, dtype }, patch, signal);
          else await overlay(bytes, { row, count, cols, dtype }, patch, signal);
        yield bytes;
      }
    },
  };
}

async function storedRows(tensor: Tensor, at: number, count: number, size: number | null, signal?: AbortSignal) {
  if (size !== null) return tensor.readStored!(at * size, new Uint8Array(count * size), signal);
  const values = new Float32Array(count);
  await tensor.read(at, values, signal);
  return encode(values, 'F32');
}

/** Rows of a tensor that are about to be written. */
interface Piece {
  readonly row: number;
  readonly count: number;
  readonly cols: number;
  readonly dtype: FactorType;
}

async function overlay(bytes: Uint8Array, { row, count, cols, dtype }: Piece, patch: Patch, signal?: AbortSignal) {
  const size = FACTOR_BYTES[dtype];
  for (const { axis, from, count: width } of patch.blocks) {
    const [first, last] =
      axis === 'rows' ? [patch.row + from, patch.row + from + width] : [0, Number.POSITIVE_INFINITY];
    for (let at = Math.max(row, first); at < Math.min(row + count, last); at++) {
      const values = new Float32Array(cols);
      await patch.source.read(at - patch.row, values, signal);
      const [start, end] = axis === 'rows' ? [0, cols] : [from, from + width];
      bytes.set(encode(values.subarray(start, end), dtype), ((at - row) * cols + start) * size);
    }
  }
}

/** Of a matrix that is stored as (in, out), `row` counts inputs. */
async function overlayTransposed(bytes: Uint8Array, piece: Piece, patch: Patch, signal?: AbortSignal) {
  const { row, count, cols, dtype } = piece;
  const size = FACTOR_BYTES[dtype];
  for (const { axis, from, count: width } of patch.blocks) {
    const outputs = axis === 'rows' ? [from, from + width] : [0, cols];
    const inputs = axis === 'rows' ? [row, row + count] : [Math.max(row, from), Math.min(row + count, from + width)];
    if (inputs[0]! >= inputs[1]!) continue;
    const values = new Float32Array(patch.source.cols);
    for (let output = outputs[0]!; output < outputs[1]!; output++) {
      await patch.source.read(output, values, signal);
      for (let input = inputs[0]!; input < inputs[1]!; input++)
        bytes.set(encode(values.subarray(input, input + 1), dtype), ((input - row) * cols + patch.row + output) * size);
    }
  }
}
