import { RankscopeError } from '../../base/errors.ts';
import { MAX_DIMENSIONS, MAX_NUMPY_HEADER } from '../../bytes/limits.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';
import { type NumpyType, numpyType } from './dtype.ts';

export interface NpyHeader {
  /** Undefined for strings, structures and objects. */
  readonly type: NumpyType | undefined;
  /** The type as the header writes it, for messages. */
  readonly described: string;
  readonly fortran: boolean;
  readonly shape: readonly number[];
  /** Where the values start, in bytes. */
  readonly dataOffset: number;
}

export function isNpy(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0, 6)).toString('latin1') === '\x93NUMPY';
}

/**
 * Reads the header of an .npy array (numpy.lib.format, versions 1 to 3), a line of Python that describes a dictionary.
 * It is matched by patterns, never evaluated. `what` names the array in messages.
 * @throws RankscopeError 'malformed'
 */
export async function readNpyHeader(source: ByteSource, what: string, signal?: AbortSignal): Promise<NpyHeader> {
  const malformed = (found: string) =>
    new RankscopeError('malformed', source.name, `${what} ${found}`, 'It is damaged: copy or download it again');
  const start = await source.read(0, Math.min(12, source.size), signal);
  if (!isNpy(start) || start.length < 12) throw malformed('has no NumPy header');
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const wide = start[6]! >= 2;
  const [offset, length] = wide ? [12, view.getUint32(8, true)] : [10, view.getUint16(8, true)];
  if (length > MAX_NUMPY_HEADER || offset + length > source.size) throw malformed(`claims a header of ${length} bytes`);
  const text = Buffer.from(await source.read(offset, length, signal)).toString('latin1');
  const described = /'descr':\s*('[^']*'|[[(].*?[\])])\s*,/s.exec(text)?.[1];
  const order = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape':\s*\(([\dL,\s]*)\)/.exec(text)?.[1];
  if (described === undefined || order === undefined || shape === undefined)
    throw malformed(`has the invalid header ${JSON.stringify(text.slice(0, 100))}`);
  const sizes = shape.split(',').flatMap((size) => (size.trim() === '' ? [] : [Number(size.trim().replace('L', ''))]));
  if (sizes.length > MAX_DIMENSIONS || !sizes.every(Number.isSafeInteger))
    throw malformed(`has the invalid shape (${shape.slice(0, 100)})`);
  return {
    type: described.startsWith("'") ? numpyType(described.slice(1, -1)) : undefined,
    described,
    fortran: order === 'True',
    shape: sizes,
    dataOffset: offset + length,
  };
}
