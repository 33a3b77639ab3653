import { RankscopeError } from '../../base/errors.ts';
import type { ByteSource } from './byteSource.ts';

/** A source over bytes in memory. */
export function memorySource(name: string, bytes: Uint8Array): ByteSource {
  const part = (offset: number, length: number) => {
    if (!(offset >= 0 && length >= 0 && offset + length <= bytes.length))
      throw new RankscopeError(
        'malformed',
        name,
        `bytes ${offset} to ${offset + length} of ${bytes.length} are needed`,
      );
    return bytes.subarray(offset, offset + length);
  };
  return {
    name,
    size: bytes.length,
    async read(offset, length) {
      // Always a copy: the slice of a Buffer would be a view.
      return new Uint8Array(part(offset, length));
    },
    async readInto(offset, out) {
      out.set(part(offset, out.length));
    },
    async close() {},
  };
}
