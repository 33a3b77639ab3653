import { RankscopeError } from '../../base/errors.ts';
import { isObject, type JsonObject } from '../../bytes/boundedJson.ts';
import type { Tensor } from '../tensor.ts';

/** The tensors of a checkpoint by name, and what is said about their quantization. */
export interface Directory {
  /** As in `Checkpoint.format`. */
  readonly format: string;
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** The model and quantization configuration. */
  readonly configuration: JsonObject;
  /** What the checkpoint's own metadata says of each module (`_quantization_metadata`) or tensor (torchao). */
  readonly declared: ReadonlyMap<string, JsonObject>;
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
  /** As in `Tensor.transposed`: false where the layout fixes the order (out, in), whatever the module's is. */
  readonly transposed?: false;
  /** As in `Tensor.turnedWhenDecoded`. */
  readonly turnedWhenDecoded?: true;
  /** Whether to decode all rows in one call: each call reads all codes, but its memory does not grow with the rows. */
  readonly singlePass?: boolean;
  /** Decodes whole rows (all but the last dimension counted together) from `row` on into `out`. */
  decodeRows(row: number, out: Float32Array, signal?: AbortSignal): Promise<void>;
}

/** Codes that are known not to be decoded here, although another scheme would take them for its own. */
export interface Declined {
  /** The name of their layout, e.g. `convrot_w4a4 of ComfyUI`. */
  readonly layout: string;
}

/**
 * One quantization scheme. Returns the matrix whose codes are in the tensor `codes`, or undefined if it is stored in
 * another way. The first scheme that returns something decides.
 */
export type Scheme = (
  codes: Tensor,
  directory: Directory,
) => Packed | Declined | undefined | Promise<Packed | Declined | undefined>;

/** Floating-point types of at most 8 bits, whose values are rarely meant without a scale. */
export function isSmallFloat(dtype: string): boolean {
  return /^F(4|6_|8_)/.test(dtype);
}

/** The JSON object in a small tensor of bytes or in a text; undefined if it is none. */
export function jsonIn(text: string | Uint8Array): JsonObject | undefined {
  try {
    const json: unknown = JSON.parse(typeof text === 'string' ? text : Buffer.from(text).toString('utf8'));
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}

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
