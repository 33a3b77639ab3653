import type { ByteSource } from './byteSource.ts';

/** A source of known size that is opened when it is first read. */
export function lazySource(
  name: string,
  size: number,
  open: (signal?: AbortSignal) => Promise<ByteSource>,
): ByteSource {
  let opening: Promise<ByteSource> | undefined;
  const opened = (signal?: AbortSignal) => {
    // After a cancelled or failed attempt, the next read tries again.
    opening ??= open(signal).catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    return opening;
  };
  return {
    name,
    size,
    async read(offset, length, signal) {
      return (await opened(signal)).read(offset, length, signal);
    },
    async readInto(offset, out, signal) {
      await (await opened(signal)).readInto(offset, out, signal);
    },
    async close() {
      await (await opening?.catch(() => undefined))?.close();
    },
  };
}
