import { Readable } from 'node:stream';
import { constants, createInflateRaw, inflateRawSync } from 'node:zlib';
import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { CHUNK_BYTES } from '../limits.ts';
import type { ByteSource } from '../source/byteSource.ts';
import { sliceSource } from '../source/sliceSource.ts';
import type { ZipEntry } from './directory.ts';

/**
 * The content of one entry. Stored entries allow random access; deflated ones are read forwards, and again from the
 * start to go back.
 * @throws RankscopeError 'malformed' if the entry's own header contradicts the directory
 */
export async function entrySource(archive: ByteSource, entry: ZipEntry, signal?: AbortSignal): Promise<ByteSource> {
  const stored = await storedSource(archive, entry, signal);
  return entry.method === 'stored' ? stored : inflatedSource(stored, entry, archive);
}

/** Compressed bytes from which the start of an entry is decompressed. */
const START_BYTES = 4096;

/**
 * The first bytes of a deflated entry, a few KB at least or all of them: many entries are looked at so without a stream
 * for each.
 */
export async function entryStart(archive: ByteSource, entry: ZipEntry, signal?: AbortSignal): Promise<Uint8Array> {
  const stored = await storedSource(archive, entry, signal);
  const bytes = await stored.read(0, Math.min(START_BYTES, stored.size), signal);
  if (entry.method === 'stored') return bytes;
  try {
    return inflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH });
  } catch (error) {
    throw new RankscopeError(
      'malformed',
      archive.name,
      `its entry ${entry.name} cannot be decompressed`,
      'Copy or download it again',
      { cause: error },
    );
  }
}

/** The bytes of an entry as they are stored, compressed or not. */
async function storedSource(
  archive: ByteSource,
  entry: ZipEntry,
  signal: AbortSignal | undefined,
): Promise<ByteSource> {
  const malformed = (found: string) =>
    new RankscopeError('malformed', archive.name, `its entry ${entry.name} ${found}`);
  if (entry.method === 'other')
    throw new RankscopeError(
      'unsupported',
      archive.name,
      `its entry ${entry.name} is compressed by a method other than deflate`,
    );
  const { nameBytes } = entry;
  const header = await archive.read(entry.headerOffset, 30 + nameBytes, signal);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  if (view.getUint32(0, true) !== 0x04034b50) throw malformed('has no header');
  const sameName =
    view.getUint16(26, true) === nameBytes && Buffer.from(header.subarray(30)).toString('utf8') === entry.name;
  if (!sameName) throw malformed('has another name in its own header');
  const begin = entry.headerOffset + 30 + nameBytes + view.getUint16(28, true);
  if (begin + entry.compressedSize > entry.limit) throw malformed('overlaps what follows');
  return sliceSource(archive, begin, entry.compressedSize);
}

/** Releases the open decompression stream of an archive unless it is busy; each stream holds a few hundred KB. */
const idle = new WeakMap<ByteSource, () => void>();

function inflatedSource(compressed: ByteSource, { name, size }: ZipEntry, archive: ByteSource): ByteSource {
  const malformed = (found: string, cause?: unknown) =>
    new RankscopeError('malformed', compressed.name, `its entry ${name} ${found}`, 'Copy or download it again', {
      cause,
    });
  let at = 0;
  let pieces: AsyncIterator<Buffer> | undefined;
  let rest: Buffer = Buffer.alloc(0);
  /** Reads are queued, because they share the position in the stream. */
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;

  function release(): void {
    if (waiting > 0) return;
    pieces?.return?.().catch(() => {});
    pieces = undefined;
    rest = Buffer.alloc(0);
  }

  /** Decompresses up to the end of the range, copying what lies in it to `out`. */
  async function inflate(offset: number, out: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    if (!(offset >= 0 && offset + out.length <= size))
      throw malformed(`has ${size} bytes; ${offset + out.length} are needed`);
    if (out.length === 0) return;
    if (offset < at || !pieces) {
      await pieces?.return?.();
      idle.get(archive)?.();
      idle.set(archive, release);
      pieces = inflatedPieces(compressed);
      rest = Buffer.alloc(0);
      at = 0;
    }
    while (at < offset + out.length) {
      throwIfCancelled(signal, compressed.name);
      if (rest.length === 0) {
        const next = await pieces.next();
        if (next.done) throw malformed(`ends after ${at} of ${size} bytes`);
        rest = next.value;
      }
      const skipped = Math.min(rest.length, Math.max(0, offset - at));
      const taken = Math.min(rest.length - skipped, offset + out.length - at - skipped);
      if (taken > 0) out.set(rest.subarray(skipped, skipped + taken), at + skipped - offset);
      at += skipped + taken;
      rest = rest.subarray(skipped + taken);
    }
  }

  function readInto(offset: number, out: Uint8Array, signal?: AbortSignal): Promise<void> {
    waiting++;
    const read = last.then(async () => {
      try {
        await inflate(offset, out, signal);
      } catch (error) {
        // The next read starts again.
        at = size;
        throw error instanceof RankscopeError ? error : malformed('cannot be decompressed', error);
      } finally {
        waiting--;
        if (at === size) release();
      }
    });
    last = read.catch(() => {});
    return read;
  }

  return {
    name: compressed.name,
    size,
    readInto,
    async read(offset, length, signal) {
      if (!(offset >= 0 && length >= 0 && offset + length <= size))
        throw malformed(`has ${size} bytes; more are needed`);
      const bytes = new Uint8Array(length);
      await readInto(offset, bytes, signal);
      return bytes;
    },
    async close() {
      await pieces?.return?.();
    },
  };
}

function inflatedPieces(compressed: ByteSource): AsyncIterator<Buffer> {
  async function* chunks() {
    const step = CHUNK_BYTES / 16;
    for (let at = 0; at < compressed.size; at += step)
      yield await compressed.read(at, Math.min(step, compressed.size - at));
  }
  const input = Readable.from(chunks(), { objectMode: false });
  const inflater = createInflateRaw({ chunkSize: CHUNK_BYTES / 16 });
  input.on('error', (error) => inflater.destroy(error));
  return (input.pipe(inflater) as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
}
