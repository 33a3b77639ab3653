import { elementCount } from '../base/shape.ts';
import type { FileIdentity } from '../bytes/source/fileSource.ts';

/** How a layer applies a kernel (out, in / groups, ...), or (in, out / groups, ...) of a transposed convolution. */
export interface Convolution {
  readonly isTransposed: boolean;
  readonly groups: number;
}

/** What a checkpoint's directory says of one tensor. */
export interface TensorDescription {
  readonly name: string;
  readonly shape: readonly number[];
  /**
   * The stored type by its usual name: F64, F32, F16, BF16, F8_E4M3, F8_E5M2, I64 .. U8, BOOL, or a ggml type such as
   * Q4_0.
   */
  readonly dtype: string;
  /** Stored size in bytes. */
  readonly bytes: number;
  /** The file that holds the bytes. */
  readonly file: FileIdentity;
  /**
   * Identity of the stored bytes within `file`: equal for tensors that share storage (offset, length and strides), so
   * that a tied matrix is analyzed and counted once. With the file, the key under which results are cached.
   */
  readonly storage: string;
  /**
   * Whether a weight is stored as (in, out), as a Keras kernel or the right operand of an ONNX MatMul is: all sizes but
   * the last are then inputs. Left out where the format does not say.
   */
  readonly transposed?: boolean | undefined;
  /** For a part of a layer in a layout that is not decoded: what is said instead of its values. It cannot be read. */
  readonly refused?: string | undefined;
  /** How each matrix of a stack along the first of three axes is stored; left out where the format does not say. */
  readonly slices?: 'out in' | 'in out' | undefined;
  /** Whether the model's code holds the transpose of each matrix of the stack, once it is decoded. */
  readonly turnedWhenDecoded?: true | undefined;
  /** The convolution that uses it; left out where the format does not say. */
  readonly convolution?: Convolution | undefined;
  /** For a weight that its layer computes (weight norm): how, and the stored tensors, which copy it unchanged. */
  readonly derived?: { readonly by: string; readonly parts: readonly Tensor[] } | undefined;
}

/** One tensor of a checkpoint. Its values are read on demand, by range, while the checkpoint is open. */
export interface Tensor extends TensorDescription {
  /**
   * Decodes `out.length` elements, row-major from element `start`, into `out`. Memory beyond `out` is bounded by a
   * constant.
   * @throws RankscopeError 'changed' if the file is no longer the one that was opened, 'unsupported' for a type without
   * numbers.
   */
  read(start: number, out: Float32Array, signal?: AbortSignal): Promise<void>;

  /**
   * Fills `out` with stored bytes (row-major, little-endian, `bytes` long in all) from `offset` and returns it: for
   * copying the tensor unchanged and for devices that decode. Absent where the stored form is none that safetensors can
   * hold (quantized blocks, strides).
   */
  readStored?(offset: number, out: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;

  /**
   * The standard deviation of the error that quantization left in `length` elements from `start`, estimated from the
   * widths of its steps by a bounded sample; undefined where nothing can be said. Absent for tensors that are not
   * quantized.
   */
  deviation?(start: number, length: number, signal?: AbortSignal): Promise<number | undefined>;
}

/**
 * Base of the classes of tensors. A checkpoint may have hundreds of thousands: they share their methods instead of
 * having closures of their own.
 */
export abstract class DescribedTensor implements TensorDescription {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly bytes: number;
  readonly file: FileIdentity;
  readonly storage: string;
  readonly transposed: boolean | undefined;
  readonly slices: 'out in' | 'in out' | undefined;
  readonly convolution: Convolution | undefined;

  constructor(description: TensorDescription) {
    this.name = description.name;
    this.shape = description.shape;
    this.dtype = description.dtype;
    this.bytes = description.bytes;
    this.file = description.file;
    this.storage = description.storage;
    this.transposed = description.transposed;
    this.slices = description.slices;
    this.convolution = description.convolution;
  }
}

/** The description of `tensor` alone, for a tensor that is derived from it. */
export function descriptionOf(tensor: TensorDescription): TensorDescription {
  const { name, shape, dtype, bytes, file, storage, transposed, slices, convolution } = tensor;
  const use = {
    ...(transposed !== undefined && { transposed }),
    ...(slices && { slices }),
    ...(convolution && { convolution }),
  };
  return { name, shape, dtype, bytes, file, storage, ...use };
}

/** Reads all values of a small tensor, such as scales. */
export async function valuesOf(tensor: Tensor, signal?: AbortSignal): Promise<Float32Array> {
  return valuesIn(tensor, 0, elementCount(tensor.shape), signal);
}

/** Reads `count` values from element `start` on. */
export async function valuesIn(
  tensor: Tensor,
  start: number,
  count: number,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const values = new Float32Array(count);
  await tensor.read(start, values, signal);
  return values;
}
