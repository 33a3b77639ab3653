import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { writeWholeIn } from '../../files/wholeFile.ts';
import type { Measures, PreviewBand, QuantizationFinding } from '../../model/findings.ts';

/** What every entry of a cache has. */
export interface Cached {
  /** Kept as 64-bit numbers; the rest of an entry is kept as JSON. */
  readonly singularValues: Float64Array;
}

/** The cached result of one matrix. */
export interface CacheEntry extends Cached {
  readonly measures: Measures;
  /** Only of a preview. */
  readonly band?: PreviewBand;
  /** Only of a matrix that is stored quantized. */
  readonly quantization?: QuantizationFinding;
  /** Time the computation took. */
  readonly seconds: number;
  /** Descending, but for what groups of matrices keep on different inputs; empty for a preview. */
  readonly singularValues: Float64Array;
}

/** Results by key. No method rejects: a cache that fails costs time, never a result. */
export interface Cache<Entry extends Cached = CacheEntry> {
  get(key: string): Promise<Entry | undefined>;
  put(key: string, entry: Entry): Promise<void>;
  /** Removes every entry and returns the bytes freed. */
  clear(): Promise<{ bytes: number }>;
}

export const noCache: Cache<never> = {
  get: async () => undefined,
  put: async () => undefined,
  clear: async () => ({ bytes: 0 }),
};

/** Raised when the content of an entry, or the way it is computed, changes: older entries are never looked up again. */
export const CACHE_VERSION = 2;

export const DEFAULT_CACHE_BYTES = 512 * 2 ** 20;

const SUFFIX = '.spectrum';
/** A temporary file this old was left behind by a process that died. */
const ABANDONED_MS = 3_600_000;

/**
 * A cache on disk that any number of processes can share. Each entry is a file named by its key and written whole or
 * not at all. A file whose digest does not match is removed. Above `maxBytes`, the least recently used entries are
 * removed.
 */
export function diskCache<Entry extends Cached = CacheEntry>(
  folder: string,
  maxBytes: number,
  log: (line: string) => void,
): Cache<Entry> {
  let writable = true;
  // The folder's size as far as this process knows; measured before the first write.
  let bytes: number | undefined;

  const fileOf = (key: string) => join(folder, key.slice(0, 2), `${key}${SUFFIX}`);

  async function prune(): Promise<number> {
    const files = await list(folder);
    let total = files.reduce((sum, file) => sum + file.size, 0);
    // A tenth is freed at once, to prune on few writes.
    const goal = total > maxBytes ? maxBytes * 0.9 : maxBytes;
    for (const { file, size } of files.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
      if (total <= goal) break;
      await rm(file, { force: true }).catch(() => undefined);
      total -= size;
    }
    return total;
  }

  return {
    async get(key) {
      const file = fileOf(key);
      const content = await readFile(file).catch(() => undefined);
      if (!content) return undefined;
      const entry = decode<Entry>(content);
      if (!entry) {
        log(`Removed a damaged cache entry: ${file}`);
        await rm(file, { force: true }).catch(() => undefined);
        return undefined;
      }
      const now = new Date();
      await utimes(file, now, now).catch(() => undefined);
      return entry;
    },

    async put(key, entry) {
      if (!writable) return;
      const file = fileOf(key);
      const content = encode(entry);
      try {
        // The digest detects damage from a power failure.
        await writeWholeIn(file, { overwrite: true, flush: false }, (append) => append(content));
      } catch (error) {
        // Windows refuses while another process reads the entry, which has the same content.
        if (await stat(file).catch(() => undefined)) return;
        // Another result may have met the same meanwhile.
        if (!writable) return;
        writable = false;
        log(`Results are not kept: the cache folder cannot be written (${(error as Error).message})`);
        return;
      }
      bytes = (bytes ?? (await prune())) + content.length;
      if (bytes > maxBytes) bytes = await prune();
    },

    async clear() {
      const files = await list(folder);
      await Promise.all(files.map(({ file }) => rm(file, { force: true }).catch(() => undefined)));
      bytes = 0;
      return { bytes: files.reduce((sum, { size }) => sum + size, 0) };
    },
  };
}

/** The entries of the folder. Removes unfinished files that other processes abandoned; leaves foreign files alone. */
async function list(folder: string): Promise<{ file: string; size: number; mtimeMs: number }[]> {
  const names = await readdir(folder).catch(() => []);
  const found: { file: string; size: number; mtimeMs: number }[] = [];
  for (const name of names.filter((each) => /^[0-9a-f]{2}$/.test(each))) {
    const files = await readdir(join(folder, name)).catch(() => []);
    for (const each of files) {
      const file = join(folder, name, each);
      const status = await stat(file).catch(() => undefined);
      if (!status) continue;
      if (each.endsWith(SUFFIX)) found.push({ file, size: status.size, mtimeMs: status.mtimeMs });
      else if (each.includes(`${SUFFIX}.`) && Date.now() - status.mtimeMs > ABANDONED_MS) {
        await rm(file, { force: true }).catch(() => undefined);
      }
    }
  }
  return found;
}

// An entry's file: SHA-256 of the rest, length of the JSON (u32, little-endian), the JSON, the singular values (f64,
// little-endian).
const DIGEST = 32;

function encode({ singularValues, ...rest }: Cached): Buffer {
  const json = Buffer.from(JSON.stringify(rest));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  const values = Buffer.from(singularValues.buffer, singularValues.byteOffset, singularValues.byteLength);
  const body = Buffer.concat([length, json, values]);
  return Buffer.concat([createHash('sha256').update(body).digest(), body]);
}

function decode<Entry extends Cached>(content: Buffer): Entry | undefined {
  const body = content.subarray(DIGEST);
  if (body.length < 4 || !createHash('sha256').update(body).digest().equals(content.subarray(0, DIGEST)))
    return undefined;
  const end = 4 + body.readUInt32LE();
  const rest = JSON.parse(body.toString('utf8', 4, end)) as Omit<Entry, 'singularValues'>;
  // Copied because a Float64Array must start at a multiple of eight bytes.
  return { ...rest, singularValues: new Float64Array(Uint8Array.from(body.subarray(end)).buffer) } as Entry;
}
