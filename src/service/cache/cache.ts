import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Measures, PreviewBand, QuantizationFinding } from '../../model/findings.ts';

/** What is kept of one matrix. */
export interface CacheEntry {
  readonly measures: Measures;
  /** Of a preview. */
  readonly band?: PreviewBand;
  /** Of a matrix that is stored quantized. */
  readonly quantization?: QuantizationFinding;
  /** What it took to find out. */
  readonly seconds: number;
  /** Descending; empty for a preview. */
  readonly singularValues: Float64Array;
}

/** Results by key. Nothing here throws: a cache that fails costs time, never a result. */
export interface Cache {
  get(key: string): Promise<CacheEntry | undefined>;
  put(key: string, entry: CacheEntry): Promise<void>;
  /** Empties it; gives the bytes that were freed. */
  clear(): Promise<{ bytes: number }>;
}

export const noCache: Cache = {
  get: async () => undefined,
  put: async () => undefined,
  clear: async () => ({ bytes: 0 }),
};

/** Raised whenever what an entry says, or how it is computed, changes: older entries are then never looked at again. */
export const CACHE_VERSION = 2;

export const DEFAULT_CACHE_BYTES = 512 * 2 ** 20;

const SUFFIX = '.spectrum';
/** A temporary file of this age was left by a process that died. */
const ABANDONED_MS = 3_600_000;
/**
 * A cache on disk that any number of processes share: each entry is one file, written beside its place and renamed, named by its key, so
 * that none is ever seen half written. A file whose digest does not match is removed. Above `maxBytes` the entries that were used
 * longest ago are removed.
 */
export function diskCache(folder: string, maxBytes: number, log: (line: string) => void): Cache {
  let writable = true;
  // What this process knows of the folder's size; looked up before the first write.
  let bytes: number | undefined;

  const fileOf = (key: string) => join(folder, key.slice(0, 2), `${key}${SUFFIX}`);

  async function prune(): Promise<number> {
    const files = await list(folder);
    let total = files.reduce((sum, file) => sum + file.size, 0);
    // A tenth is freed at once, so that not every write prunes.
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
      const entry = decode(content);
      if (!entry) {
        log(`A damaged entry of the cache was removed: ${file}`);
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
      const beside = `${file}.${process.pid}.${randomUUID()}.tmp`;
      const content = encode(entry);
      try {
        await writeInNewFolder(beside, content);
      } catch (error) {
        await rm(beside, { force: true }).catch(() => undefined);
        writable = false;
        log(`Results are not kept: the cache folder cannot be written (${(error as Error).message})`);
        return;
      }
      // Windows refuses while another process reads the entry that is there, which says the same.
      await rename(beside, file).catch(() => rm(beside, { force: true }).catch(() => undefined));
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

/** The folder is made when it turns out to be missing, which is once in hundreds of entries. */
async function writeInNewFolder(file: string, content: Uint8Array): Promise<void> {
  try {
    await writeFile(file, content);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}

/** The entries of the folder; what other processes left behind half written is removed, what is not ours is not looked at. */
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

// An entry's file: SHA-256 of the rest, length of the JSON (u32, little-endian), the JSON, the singular values (f64, little-endian).
const DIGEST = 32;

function encode({ singularValues, ...rest }: CacheEntry): Buffer {
  const json = Buffer.from(JSON.stringify(rest));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  const values = Buffer.from(singularValues.buffer, singularValues.byteOffset, singularValues.byteLength);
  const body = Buffer.concat([length, json, values]);
  return Buffer.concat([createHash('sha256').update(body).digest(), body]);
}

function decode(content: Buffer): CacheEntry | undefined {
  const body = content.subarray(DIGEST);
  if (body.length < 4 || !createHash('sha256').update(body).digest().equals(content.subarray(0, DIGEST)))
    return undefined;
  const end = 4 + body.readUInt32LE();
  const rest = JSON.parse(body.toString('utf8', 4, end)) as Omit<CacheEntry, 'singularValues'>;
  // Copied: the values begin at any byte, a Float64Array at a multiple of eight.
  return { ...rest, singularValues: new Float64Array(Uint8Array.from(body.subarray(end)).buffer) };
}
