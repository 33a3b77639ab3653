import { RankscopeError } from '../base/errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { isObject } from './companion.ts';
import type { FileSource } from './fileSource.ts';
import type { Format, OpenContext } from './format.ts';
import { joinShards } from './joinShards.ts';
import { MAX_JSON_FILE, MAX_SHARDS, MAX_TENSORS } from './limits.ts';
import { siblingPath } from './siblingPath.ts';

/** `*.safetensors.index.json`, `pytorch_model.bin.index.json`: which shard beside it holds each tensor. */
export const shardIndex: Format = {
  name: 'shard index',
  extensions: ['.safetensors.index.json', '.bin.index.json'],
  recognizes: (head) => /^\s*\{/.test(latin1(head)) && latin1(head).includes('"weight_map"'),
  entryOf: (names) =>
    names.find((name) => name.endsWith('.safetensors.index.json')) ??
    names.find((name) => name.endsWith('.bin.index.json')),
  open: openShardIndex,
};

async function openShardIndex(source: FileSource, context: OpenContext): Promise<Checkpoint> {
  const index = await readIndex(source, context.signal);
  const shards = [...new Set(index.shardOf.values())].sort();
  if (shards.length > MAX_SHARDS)
    throw new RankscopeError('too-large', source.name, `it names ${shards.length} shards, more than ${MAX_SHARDS}`);
  const paths = await Promise.all(shards.map((shard) => siblingPath(source.name, shard, 'shard')));
  const checkpoint = await joinShards(source, index, shards, paths, context);
  await source.close();
  return checkpoint;
}

export interface ShardIndex {
  readonly shardOf: ReadonlyMap<string, string>;
  readonly metadata: ReadonlyMap<string, string>;
}

async function readIndex(source: FileSource, signal: AbortSignal | undefined): Promise<ShardIndex> {
  const malformed = (found: string) =>
    new RankscopeError('malformed', source.name, found, 'It is damaged: copy or download it again');
  if (source.size > MAX_JSON_FILE)
    throw new RankscopeError('too-large', source.name, `an index of ${source.size} bytes; at most ${MAX_JSON_FILE}`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await source.read(0, source.size, signal)));
  } catch (error) {
    if (error instanceof RankscopeError) throw error;
    throw malformed(`the index is not valid JSON (${(error as Error).message})`);
  }
  const { weight_map: map, metadata } = isObject(json) ? json : {};
  if (!isObject(map)) throw malformed('the index has no "weight_map"');
  const pairs = Object.entries(map);
  if (pairs.length > MAX_TENSORS)
    throw new RankscopeError('too-large', source.name, `the index lists more than ${MAX_TENSORS} tensors`);
  for (const [name, shard] of pairs)
    if (typeof shard !== 'string') throw malformed(`the shard of ${JSON.stringify(name)} is not a file name`);
  return { shardOf: new Map(pairs as [string, string][]), metadata: textOf(metadata) };
}

function textOf(metadata: unknown): Map<string, string> {
  if (!isObject(metadata)) return new Map();
  return new Map(
    Object.entries(metadata).map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
