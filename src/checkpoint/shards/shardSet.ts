import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { MAX_FOLDER_ENTRIES, MAX_SHARDS } from '../../bytes/limits.ts';
import { attempt } from '../../bytes/source/fileSource.ts';
import type { OpenContext } from '../../formats/format.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { joinShards } from './joinShards.ts';

/** How transformers names shards. llama.cpp names its own likewise, but the GGUF reader joins those. */
const SHARD = /^(.+)-(\d{5})-of-(\d{5})(\.(?:safetensors|bin|pt|pth))$/;

/** The shards of one model, recognized by their names. */
export interface ShardSet {
  /** The number of the requested shard, counted from 1, and how many there should be. */
  readonly number: number;
  readonly count: number;
  /** Paths of the shards that exist. */
  readonly paths: readonly string[];
  /** Names of the shards that do not. */
  readonly missing: readonly string[];
  /** Whether the set has an index. */
  readonly indexed: boolean;
}

/** The set to which the file at `path` belongs, judged by the names beside it; undefined for any other file. */
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

/**
 * The first shard of the only set among a folder's sorted names; safetensors are preferred to pickles of the same
 * model.
 */
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

/** Opens a set without an index as one checkpoint and names missing shards. */
export async function openShardSet(
  { paths, missing, count }: ShardSet,
  context: Pick<OpenContext, 'path' | 'openPart'>,
): Promise<Checkpoint> {
  const joined = await joinShards({ name: context.path, shards: paths, paths }, { ...context, remarks: [] });
  if (missing.length === 0) return joined;
  const some = missing.slice(0, 3).join(', ') + (missing.length > 3 ? ' ...' : '');
  const remark = `${missing.length} of ${count} shards are missing (${some}); their tensors are not shown.`;
  return { ...joined, warnings: [remark, ...joined.warnings] };
}

/** The warning for a shard that was opened by itself although there is an index. */
export function shardRemark({ number, count }: ShardSet): string {
  return `This is shard ${number} of ${count}; open its folder or index to see the whole model.`;
}
