import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { Allowance } from '../../bytes/allowance.ts';
import { bitsOf, decode } from '../../bytes/decode.ts';
import { CHUNK_BYTES, MAX_LISTED_BYTES } from '../../bytes/limits.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';
import { descriptionOf, type Tensor, type TensorDescription } from '../../checkpoint/tensor.ts';
import { type ListedValues, VALUE_FIELDS } from './tensorProto.ts';
import { Wire } from './wire.ts';

/** The safetensors name of each onnx.TensorProto.DataType. */
export const DTYPES: Readonly<Record<number, string>> = {
  1: 'F32',
  2: 'U8',
  3: 'I8',
  4: 'U16',
  5: 'I16',
  6: 'I32',
  7: 'I64',
  8: 'STRING',
  9: 'BOOL',
  10: 'F16',
  11: 'F64',
  12: 'U32',
  13: 'U64',
  14: 'C64',
  15: 'C128',
  16: 'BF16',
  17: 'F8_E4M3',
  18: 'F8_E4M3FNUZ',
  19: 'F8_E5M2',
  20: 'F8_E5M2FNUZ',
  21: 'U4',
  22: 'I4',
  23: 'F4',
  24: 'F8_E8M0',
  25: 'U2',
  26: 'I2',
};

/** A tensor whose values are listed as individual numbers in its message. */
export function listedTensor(description: TensorDescription, listed: ListedValues, source: ByteSource): Tensor {
  return {
    ...descriptionOf(description),
    read: (start, out, signal) => readListed(description, listed, source, start, out, signal),
  };
}

/** Decodes part of a listed tensor. Small floats are listed as the varints of their bits. */
async function readListed(
  described: TensorDescription,
  listed: ListedValues,
  source: ByteSource,
  start: number,
  out: Float32Array,
  signal?: AbortSignal,
): Promise<void> {
  const { name, dtype, shape } = described;
  if (listed.bytes > MAX_LISTED_BYTES)
    throw new RankscopeError(
      'too-large',
      name,
      `its values are listed individually and take more than ${MAX_LISTED_BYTES} bytes`,
      'Save the model with raw data',
    );
  const bits = bitsOf(dtype) ?? 8;
  if (bits < 8) {
    // Each number of the list is a byte with several elements.
    const first = Math.floor((start * bits) / 8);
    const bytes = new Float32Array(Math.ceil(((start + out.length) * bits) / 8) - first);
    const shapeInBytes = [Math.ceil((elementCount(shape) * bits) / 8)];
    await readListed({ ...described, dtype: 'U8', shape: shapeInBytes }, listed, source, first, bytes, signal);
    const whole = new Float32Array((bytes.length * 8) / bits);
    decode(
      dtype,
      Uint8Array.from(bytes, (byte) => byte & 255),
      whole,
    );
    const skipped = start - (first * 8) / bits;
    out.set(whole.subarray(skipped, skipped + out.length));
    return;
  }
  const decoder = listed.kind === 'varints' ? varintDecoder(dtype, start, out) : fixedDecoder(listed.kind, start, out);
  const wire = new Wire(source, signal, new Allowance(name));
  await wire.fields(listed.message.start, listed.message.end, (field) => {
    if (VALUE_FIELDS.get(field.number) !== listed.kind) return;
    if (field.wire === 0) return decoder.varint(field.value);
    return (async () => {
      for (let at = field.start; at < field.end; at += CHUNK_BYTES)
        decoder.bytes(await source.read(at, Math.min(CHUNK_BYTES, field.end - at), signal));
    })();
  });
  const count = decoder.finish();
  if (count !== elementCount(shape))
    throw new RankscopeError('malformed', name, `it lists ${count} values for the shape ${shape.join(' x ')}`);
}

/** Receives all values of a list in order, and writes those in the requested range to `out`. */
interface ListDecoder {
  /** Receives a single value. */
  varint(value: bigint): void;
  /** Receives the next bytes of packed values. */
  bytes(chunk: Uint8Array): void;
  /** Ends the list, and returns the number of values received. */
  finish(): number;
}

/** Decodes numbers of fixed size, which chunks never split. */
function fixedDecoder(kind: ListedValues['kind'], start: number, out: Float32Array): ListDecoder {
  const dtype = kind === 'doubles' ? 'F64' : 'F32';
  const size = kind === 'doubles' ? 8 : 4;
  let count = 0;
  return {
    varint() {
      count++;
    },
    bytes(chunk) {
      const length = Math.floor(chunk.length / size);
      const [from, to] = [Math.max(start, count), Math.min(start + out.length, count + length)];
      if (from < to) decode(dtype, chunk.subarray((from - count) * size), out.subarray(from - start, to - start));
      count += length;
    },
    finish: () => count,
  };
}

function varintDecoder(dtype: string, start: number, out: Float32Array): ListDecoder {
  const bits = /^(F16|BF16)$/.test(dtype)
    ? new Uint16Array(out.length)
    : dtype.startsWith('F8')
      ? new Uint8Array(out.length)
      : undefined;
  const signed = !dtype.startsWith('U');
  let count = 0;
  // The current number: its low 28 bits, its remaining bits, and the bytes received so far.
  let [low, high, length] = [0, 0, 0];
  const take = () => {
    const at = count++ - start;
    if (at >= 0 && at < out.length) {
      if (bits) bits[at] = low;
      // A tenth byte contains the sign of a 64-bit number.
      else out[at] = (signed && length === 10 ? high - 2 ** 36 : high) * 2 ** 28 + low;
    }
    [low, high, length] = [0, 0, 0];
  };
  return {
    varint(value) {
      [low, high] = [Number(value & 0xfffffffn), Number(value >> 28n)];
      length = value >> 63n === 1n ? 10 : 1;
      take();
    },
    bytes(chunk) {
      for (const byte of chunk) {
        if (length < 4) low += (byte & 127) * 2 ** (7 * length);
        else if (length < 9) high += (byte & 127) * 2 ** (7 * length - 28);
        else high += (byte & 1) * 2 ** 35;
        length++;
        if (byte < 128 || length === 10) take();
      }
    },
    finish() {
      if (bits) decode(dtype, new Uint8Array(bits.buffer), out);
      return count;
    },
  };
}
