import { RankscopeError } from '../../base/errors.ts';
import type { ByteSource } from './byteSource.ts';

/** The concatenation of several sources. Closing it closes them. */
export function concatSource(name: string, parts: readonly ByteSource[]): ByteSource {
  const starts: number[] = [];
  let size = 0;
  for (const part of parts) {
    starts.push(size);
    size += part.size;
  }
  function refuseBeyondEnd(offset: number, length: number): void {
    if (offset >= 0 && length >= 0 && offset + length <= size) return;
    const found = `bytes ${offset} to ${offset + length} are needed, but its parts have ${size} in total`;
    throw new RankscopeError('malformed', name, found, 'They are incomplete: copy or download them again');
  }
  async function readInto(offset: number, out: Uint8Array, signal?: AbortSignal): Promise<void> {
    refuseBeyondEnd(offset, out.length);
    for (const [i, part] of parts.entries()) {
      const from = Math.max(offset, starts[i]!);
      const end = Math.min(offset + out.length, starts[i]! + part.size);
      if (from < end) await part.readInto(from - starts[i]!, out.subarray(from - offset, end - offset), signal);
    }
  }
  return {
    name,
    size,
    readInto,
    async read(offset, length, signal) {
      refuseBeyondEnd(offset, length);
      const bytes = new Uint8Array(length);
      await readInto(offset, bytes, signal);
      return bytes;
    },
    async close() {
      await Promise.all(parts.map((part) => part.close()));
    },
  };
}
