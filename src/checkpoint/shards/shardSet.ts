import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { MAX_FOLDER_ENTRIES, MAX_SHARDS } from '../../bytes/limits.ts';
import { attempt } from '../../bytes/source/fileSource.ts';
import type { OpenContext } from '../../formats/format.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { joinShards } from './joinShards.ts';

/** How transformers names shards; llama.cpp names its own alike, which the reader of GGUF puts together. */
const SHARD = /^(.+)-(\d{5})-of-(\d{5})(\.(?:safetensors|bin|pt|pth))$/;

/** The shards of one model by their names. */
export interface ShardSet {
  /** The number of the shard that was asked for, from 1 on, and how many there should be. */
  readonly number: number;
  readonly count: number;
  /** Paths of those that are there. */
  readonly paths: readonly string[];
  /** Names of those that are not. */
  readonly missing: readonly string[];
  /** Whether an index of the set stands beside it. */
  readonly indexed: boolean;
}

/** The set that the file at `path` is a shard of, as the names beside it say; undefined for any other file. */
export async function shardSetOf(path: string): Promise<ShardSet | undefined> {
  const [, stem, number = 0, digits = '', extension] = SHARD.exec(basename(path)) ?? [];
  const count = Number(digits);
  if (stem === undefined || count < 2 || count > MAX_SHARDS) return undefined;
  const folder = dirname(path);
  const names = new Set((await attempt(folder, () => readdir(folder))).slice(0, MAX_FOLDER_ENTRIES));
  const shards = Array.from(
    { length: count },
    (_, i) => `${stem}-${String(i + 1).padStart(5, '0')}-of-${digits}${extension}`,
  );
  return {
    number: Number(number),
    count,
    paths: shards.filter((name) => names.has(name)).map((name) => join(folder, name)),
    missing: shards.filter((name) => !names.has(name)),
    indexed: names.has(`${stem}${extension}.index.json`),
  };
}

/** Of a folder's sorted names, the first of the only set of shards among them; safetensors are taken before pickles of the same. */
export function firstOfSet(names: readonly string[]): string | undefined {
  const firsts = new Map<string, string>();
  for (const name of names) {
    const [, stem, , count, extension] = SHARD.exec(name) ?? [];
    const set = `${stem}-${count}${extension}`;
    if (stem !== undefined && !firsts.has(set)) firsts.set(set, name);
  }
  const all = [...firsts.values()];
  const safe = all.filter((name) => name.endsWith('.safetensors'));
  const [first, second] = safe.length > 0 ? safe : all;
  return second === undefined ? first : undefined;
}

/** A set without an index as one checkpoint; what is missing is named. */
export async function openShardSet(
  { paths, missing, count }: ShardSet,
  context: Pick<OpenContext, 'path' | 'openPart'>,
): Promise<Checkpoint> {
  const joined = await joinShards({ name: context.path, shards: paths, paths }, { ...context, remarks: [] });
  if (missing.length === 0) return joined;
  const some = missing.slice(0, 3).join(', ') + (missing.length > 3 ? ' ...' : '');
  const remark = `${missing.length} of ${count} shards are missing (${some}); what they hold is not shown.`;
  return { ...joined, warnings: [remark, ...joined.warnings] };
}

/** What is said of a shard that was opened by itself although an index stands beside it. */
export function shardRemark({ number, count }: ShardSet): string {
  return `This is shard ${number} of ${count}; open its folder or index to see the whole model.`;
}
