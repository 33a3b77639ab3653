// What was found out, so that the next start asks no interpreter and tries no library.
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';

interface Entry {
  readonly at: number;
  readonly value: unknown;
}

const FILE = 'blas.json';
const FORMAT = 'rankscope.blas/1';
/** Entries kept: the latest ones. */
const MOST = 64;

/** Facts by name, in a file of the cache folder or, without one, for as long as this lives. */
export class Memory {
  private entries: Map<string, Entry> | undefined;

  constructor(private readonly folder: string | undefined) {}

  /** What is known under `key`, if `isFact` recognizes it and it is not older than it may be, in hours. */
  get<Fact>(key: string, isFact: (value: unknown) => value is Fact, hours: (fact: Fact) => number): Fact | undefined {
    const entry = this.all().get(key);
    if (entry === undefined || !isFact(entry.value)) return undefined;
    const age = (Date.now() - entry.at) / 3_600_000;
    return age >= 0 && age < hours(entry.value) ? entry.value : undefined;
  }

  /** A file that cannot be written costs the next start half a second, and is no reason to fail. */
  set(key: string, value: unknown): void {
    const all = this.all();
    all.delete(key);
    all.set(key, { at: Date.now(), value });
    for (const oldest of [...all.keys()].slice(0, Math.max(0, all.size - MOST))) all.delete(oldest);
    if (this.folder === undefined) return;
    const partial = join(this.folder, `${FILE}.${process.pid}`);
    try {
      mkdirSync(this.folder, { recursive: true });
      writeFileSync(partial, JSON.stringify({ format: FORMAT, entries: [...all] }));
      renameSync(partial, join(this.folder, FILE));
    } catch {
      remove(partial);
    }
  }

  private all(): Map<string, Entry> {
    this.entries ??= this.folder === undefined ? new Map() : read(join(this.folder, FILE));
    return this.entries;
  }
}

function read(file: string): Map<string, Entry> {
  try {
    const { format, entries } = JSON.parse(readFileSync(file, 'utf8'));
    if (format !== FORMAT || !Array.isArray(entries)) return new Map();
    return new Map(entries.filter(([key, entry]) => typeof key === 'string' && typeof entry?.at === 'number'));
  } catch {
    return new Map();
  }
}

/** Removes what is remembered in a cache folder. */
export function forgetBlas(folder: string): void {
  remove(join(folder, FILE));
}

function remove(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // There is no folder for it.
  }
}

/** What changes whenever the file is replaced. A library of macOS has no file: it comes with the system. */
export function stampOf(path: string): string {
  try {
    const { size, mtimeMs, ino } = statSync(path);
    return `${size} ${mtimeMs} ${ino}`;
  } catch {
    return process.platform === 'darwin' ? release() : 'none';
  }
}
