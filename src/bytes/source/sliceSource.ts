import { RankscopeError } from '../../base/errors.ts';
import type { ByteSource } from './byteSource.ts';

/** The bytes [begin, begin + size) of `source` as a source of their own. Closing it leaves `source` open. */
export function sliceSource(source: ByteSource, begin: number, size: number): ByteSource {
  const check = (offset: number, length: number) => {
    if (offset >= 0 && length >= 0 && offset + length <= size) return;
    throw new RankscopeError(
      'malformed',
      source.name,
      `bytes ${offset} to ${offset + length} of a part of ${size} are needed`,
    );
  };
  return {
    name: source.name,
    size,
    async read(offset, length, signal) {
      check(offset, length);
      return source.read(begin + offset, length, signal);
    },
    async readInto(offset, out, signal) {
      check(offset, out.length);
      await source.readInto(begin + offset, out, signal);
    },
    async close() {},
  };
}
