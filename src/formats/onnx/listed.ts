import { RankscopeError } from '../../base/errors.ts';
import { decode } from '../decode.ts';
import type { StoredTensor } from '../storedCheckpoint.ts';
import { varints } from './tensorProto.ts';
import type { Field } from './wire.ts';

/** onnx.TensorProto.DataType by the names of safetensors. */
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
};

/** Values that stand in the message as a list of numbers, one by one. */
export interface ListedTensor {
  readonly pieces: readonly Field[];
  readonly listKind: 'raw' | 'floats' | 'doubles' | 'varints';
}

/** Such lists are for small constants; a large one would have to be held whole. */
const MAX_LISTED = 64 << 20;

/** Decodes part of a listed tensor. Small floats are listed as the varints of their bits. */
export async function readListed(
  { name, dtype, source, pieces, listKind, shape }: StoredTensor & ListedTensor,
  start: number,
  out: Float32Array,
  signal?: AbortSignal,
): Promise<void> {
  if (pieces.reduce((sum, { start: from, end }) => sum + Math.max(end - from, 10), 0) > MAX_LISTED)
    throw new RankscopeError(
      'too-large',
      name,
      `its values are listed one by one and take more than ${MAX_LISTED} bytes`,
      'Save the model with raw data',
    );
  const parts: Float32Array[] = [];
  for (const piece of pieces) {
    const bytes = await source.read(piece.start, piece.end - piece.start, signal);
    if (listKind === 'varints') parts.push(fromBits(dtype, piece.wire === 0 ? [piece.value] : varints(bytes)));
    else parts.push(fromNumbers(listKind === 'doubles' ? 'F64' : 'F32', bytes));
  }
  const all = Float32Array.from(parts.flatMap((part) => [...part]));
  if (all.length !== shape.reduce((product, size) => product * size, 1))
    throw new RankscopeError('malformed', name, `it lists ${all.length} values for the shape ${shape.join(' x ')}`);
  out.set(all.subarray(start, start + out.length));
}

function fromNumbers(dtype: 'F32' | 'F64', bytes: Uint8Array): Float32Array {
  const out = new Float32Array(Math.floor(bytes.length / (dtype === 'F64' ? 8 : 4)));
  decode(dtype, bytes, out);
  return out;
}

function fromBits(dtype: string, values: readonly bigint[]): Float32Array {
  const out = new Float32Array(values.length);
  if (/^(F16|BF16)$/.test(dtype)) decode(dtype, new Uint8Array(Uint16Array.from(values, Number).buffer), out);
  else if (dtype.startsWith('F8')) decode(dtype, Uint8Array.from(values, Number), out);
  else out.set(values.map((value) => Number(dtype.startsWith('U') ? value : BigInt.asIntN(64, value))));
  return out;
}
