export interface NumpyType {
  /** Its safetensors name. */
  readonly dtype: string;
  readonly bytes: number;
  readonly bigEndian: boolean;
}

/** Parses a NumPy type string such as `<f4`, `|u1` or `>i8`; undefined for strings, structures and objects. */
export function numpyType(text: string): NumpyType | undefined {
  const [, order = '', kind = '', digits = ''] = /^([<>|=]?)([?a-zA-Z])(\d{0,2})$/.exec(text) ?? [];
  const bytes = kind === '?' ? 1 : Number(digits);
  const dtype = NAMES.get(`${kind}${bytes}`);
  return dtype === undefined ? undefined : { dtype, bytes, bigEndian: order === '>' && bytes > 1 };
}

const NAMES = new Map([
  ['f8', 'F64'],
  ['f4', 'F32'],
  ['f2', 'F16'],
  ['i8', 'I64'],
  ['i4', 'I32'],
  ['i2', 'I16'],
  ['i1', 'I8'],
  ['u8', 'U64'],
  ['u4', 'U32'],
  ['u2', 'U16'],
  ['u1', 'U8'],
  ['b1', 'BOOL'],
  ['?1', 'BOOL'],
  ['c8', 'C64'],
  ['c16', 'C128'],
]);
