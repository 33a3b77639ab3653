import { elementCount } from '../../base/shape.ts';
import { asKind, type CallValue, globalName, itemsOf, type Value } from '../../bytes/pickle/values.ts';
import { type NumpyType, numpyType } from './dtype.ts';

/** A NumPy array whose bytes are in the pickle itself. */
export interface NumpyArray {
  readonly kind: 'array';
  readonly type: NumpyType;
  readonly shape: readonly number[];
  readonly fortran: boolean;
  readonly bytes: Uint8Array;
}

/**
 * The NumPy array or scalar that a call would create; undefined for any other call and for arrays of objects or
 * strings.
 */
export function numpyArray(call: CallValue, name: string, args: readonly Value[]): NumpyArray | undefined {
  if (/^numpy\._?core\.multiarray\._reconstruct$/.test(name)) {
    // The argument of numpy.ndarray.__setstate__: version, shape, type, order, bytes.
    const [, shape, type, fortran, data] = itemsOf(call.state) ?? [];
    return arrayOf(type, itemsOf(shape), fortran === true, bytesOf(data));
  }
  if (/^numpy\._?core\.multiarray\.scalar$/.test(name)) return arrayOf(args[0], [], false, bytesOf(args[1]));
  if (/^numpy\._?core\.numeric\._frombuffer$/.test(name))
    return arrayOf(args[1], itemsOf(args[2]), args[3] === 'F', bytesOf(args[0]));
  return undefined;
}

function arrayOf(
  type: Value | undefined,
  shape: readonly Value[] | undefined,
  fortran: boolean,
  bytes: Uint8Array | undefined,
): NumpyArray | undefined {
  const numpy = dtypeOf(type);
  if (!numpy || !bytes || !shape?.every((size): size is number => Number.isSafeInteger(size) && (size as number) >= 0))
    return undefined;
  const count = elementCount(shape);
  return count * numpy.bytes === bytes.length ? { kind: 'array', type: numpy, shape, fortran, bytes } : undefined;
}

/** A call such as numpy.dtype('f4', False, True), with the byte order in its state: (3, '<', ...). */
function dtypeOf(value: Value | undefined): NumpyType | undefined {
  const call = asKind(value, 'call');
  const [text] = itemsOf(call?.args) ?? [];
  if (globalName(call?.callable) !== 'numpy.dtype' || typeof text !== 'string') return undefined;
  const [, order] = itemsOf(call?.state) ?? [];
  return numpyType((order === '>' ? '>' : '') + text);
}

/** Bytes, or their form in protocols 0 to 2: a string of Latin-1 characters, or a call that encodes one. */
function bytesOf(value: Value | undefined): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'string') return Buffer.from(value, 'latin1');
  const call = asKind(value, 'call');
  const [text, encoding] = itemsOf(call?.args) ?? [];
  if (globalName(call?.callable) !== '_codecs.encode' || typeof text !== 'string' || encoding !== 'latin1')
    return undefined;
  return Buffer.from(text, 'latin1');
}
