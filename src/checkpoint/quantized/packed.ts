import { RankscopeError } from '../../base/errors.ts';
import { isObject, type JsonObject } from '../../bytes/boundedJson.ts';
import type { Tensor } from '../tensor.ts';

/** The tensors of a checkpoint by name, and its model and quantization configuration. */
export interface Directory {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly configuration: JsonObject;
}

/** The quantization settings, which may be nested in the configuration or at its top level. */
export function quantizationOf({ configuration }: Directory): JsonObject {
  return isObject(configuration.quantization_config) ? configuration.quantization_config : configuration;
}

/** A matrix that is stored as several tensors: codes, scales and the like. */
export interface Packed {
  readonly name: string;
  readonly shape: readonly number[];
  /** e.g. `GPTQ4`. */
  readonly dtype: string;
  /** The tensors that store the matrix, codes first. They are not listed individually. */
  readonly parts: readonly Tensor[];
  /**
   * For evenly spaced codes, the step sizes. Each covers the same number of values, in the order of the values; of a
   * matrix that is stored as its transpose, only all of them together have a meaning.
   */
  readonly steps?: Tensor;
  /** Whether to decode all rows in one call: each call reads all codes, but its memory does not grow with the rows. */
  readonly singlePass?: boolean;
  /** Decodes whole rows (all but the last dimension counted together) from `row` on into `out`. */
  decodeRows(row: number, out: Float32Array, signal?: AbortSignal): Promise<void>;
}

/**
 * One quantization scheme. Returns the matrix whose codes are in the tensor `codes`, or undefined if it is stored in
 * another way.
 */
export type Scheme = (codes: Tensor, directory: Directory) => Packed | undefined | Promise<Packed | undefined>;

/** Reads stored bytes. Packed codes need them, because f32 values would lose bits of 32-bit words. */
export async function bytesIn(
  tensor: Tensor,
  offset: number,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  if (tensor.readStored) return tensor.readStored(offset, new Uint8Array(length), signal);
  throw new RankscopeError('unsupported', tensor.name, 'its quantized codes are not stored contiguously');
}

/**
 * Unpacks `out.length` codes of `bits` bits (2, 3, 4, 5, 6 or 8), which are packed without gaps from the lowest bit of
 * the first byte.
 */
export function unpackBits(bytes: Uint8Array, bits: number, out: Uint8Array): void {
  const mask = (1 << bits) - 1;
  for (let i = 0, bit = 0; i < out.length; i++, bit += bits) {
    const at = bit >> 3;
    out[i] = ((((bytes[at + 1] ?? 0) << 8) | bytes[at]!) >> (bit & 7)) & mask;
  }
}
