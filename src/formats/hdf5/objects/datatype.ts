import type { Piece } from '../file/piece.ts';

export const DATATYPE = 0x03;

export interface NumberType {
  /** The name in safetensors, or STRING, COMPOUND and so on for anything that is not a number. */
  readonly dtype: string;
  readonly bytes: number;
  readonly bigEndian: boolean;
  /** Set for a variable-length text, which is stored elsewhere. */
  readonly variable?: boolean;
}

/** By size, position and size of exponent and mantissa, and the bias of the exponent. */
const FLOATS: Readonly<Record<string, string>> = {
  '2 10/5 0/10 15': 'F16',
  '2 7/8 0/7 127': 'BF16',
  '4 23/8 0/23 127': 'F32',
  '8 52/11 0/52 1023': 'F64',
  '1 3/4 0/3 7': 'F8_E4M3',
  '1 2/5 0/2 15': 'F8_E5M2',
};
const OTHERS: Readonly<Record<number, string>> = {
  2: 'TIME',
  3: 'STRING',
  4: 'BITS',
  5: 'OPAQUE',
  6: 'COMPOUND',
  7: 'REFERENCE',
  9: 'SEQUENCE',
  10: 'ARRAY',
};
const FIXED = 0;
const FLOAT = 1;
const ENUMERATION = 8;
const VARIABLE = 9;

/** Specification IV.A.2.d, as far as it concerns numbers and texts. */
export function readType(body: Piece): NumberType {
  const kind = body.u8() & 15;
  const bits = body.number(3);
  const bytes = body.u32();
  const bigEndian = (bits & 1) !== 0;
  if (kind === FIXED) return { dtype: `${bits & 8 ? 'I' : 'U'}${8 * bytes}`, bytes, bigEndian };
  if (kind === FLOAT) {
    body.skip(4);
    const [exponentAt, exponent, mantissaAt, mantissa] = [body.u8(), body.u8(), body.u8(), body.u8()];
    const layout = `${bytes} ${exponentAt}/${exponent} ${mantissaAt}/${mantissa} ${body.u32()}`;
    return { dtype: FLOATS[layout] ?? `FLOAT${8 * bytes}`, bytes, bigEndian };
  }
  // h5py stores booleans as enumerations of one byte. The base type of the enumeration follows, and it has the byte
  // order.
  if (kind === ENUMERATION) {
    body.skip(1);
    return { dtype: bytes === 1 ? 'BOOL' : `I${8 * bytes}`, bytes, bigEndian: (body.number(3) & 1) !== 0 };
  }
  if (kind === VARIABLE && (bits & 15) === 1) return { dtype: 'STRING', bytes, bigEndian: false, variable: true };
  return { dtype: OTHERS[kind] ?? 'OTHER', bytes, bigEndian: false };
}
