import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { isObject, type JsonObject } from '../../bytes/boundedJson.ts';
import type { Tensor } from '../tensor.ts';

/** The tensors of a checkpoint by name, and what its configuration says of quantization. */
export interface Directory {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly configuration: JsonObject;
}

/** What the configuration says of quantization, wherever it says so. */
export function quantizationOf({ configuration }: Directory): JsonObject {
  return isObject(configuration.quantization_config) ? configuration.quantization_config : configuration;
}

/** A matrix that is stored as several tensors: codes, scales and the like. */
export interface Packed {
  readonly name: string;
  readonly shape: readonly number[];
  /** e.g. `GPTQ4`. */
  readonly dtype: string;
  /** The tensors it is made of, the codes first. They are not listed on their own. */
  readonly parts: readonly Tensor[];
  /**
   * Of codes that are evenly spaced: the spacings, each of equally many values, in the values' order (all together for a matrix that is
   * kept as its transpose).
   */
  readonly steps?: Tensor;
  /** Whether `decodeRows` needs little memory however many rows it is given, and reads all codes each time. */
  readonly atOnce?: boolean;
  /** Decodes whole rows (all but the last dimension counted together) from `row` on into `out`. */
  decodeRows(row: number, out: Float32Array, signal?: AbortSignal): Promise<void>;
}

/** One way of quantizing: finds the matrix that the tensor `codes` holds the codes of, if it is stored this way. */
export type Scheme = (codes: Tensor, directory: Directory) => Packed | undefined | Promise<Packed | undefined>;

/** All values of a small tensor (scales). */
export async function valuesOf(tensor: Tensor, signal?: AbortSignal): Promise<Float32Array> {
  return valuesIn(tensor, 0, elementCount(tensor.shape), signal);
}

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

/** Stored bytes, which the packed types need: 32-bit codes would lose bits as f32. */
export async function bytesIn(
  tensor: Tensor,
  offset: number,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  if (tensor.readStored) return tensor.readStored(offset, new Uint8Array(length), signal);
  throw new RankscopeError('unsupported', tensor.name, 'its quantized codes do not lie in one piece');
}

/**
 * Spreads `out.length` codes of `bits` bits (2, 3, 4, 5, 6 or 8), packed from the lowest bit of the first byte on without gaps.
 */
export function unpackBits(bytes: Uint8Array, bits: number, out: Uint8Array): void {
  const mask = (1 << bits) - 1;
  for (let i = 0, bit = 0; i < out.length; i++, bit += bits) {
    const at = bit >> 3;
    out[i] = ((((bytes[at + 1] ?? 0) << 8) | bytes[at]!) >> (bit & 7)) & mask;
  }
}
