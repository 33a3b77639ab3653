import { isUtf8 } from 'node:buffer';
import { RankscopeError } from '../../base/errors.ts';
import type { Allowance } from '../../bytes/allowance.ts';
import { JsonCursor, JsonFault } from '../../bytes/jsonCursor.ts';
import { MAX_JSON_FILE, MAX_SHARDS, MAX_TENSORS } from '../../bytes/limits.ts';
import type { FileSource } from '../../bytes/source/fileSource.ts';
import { siblingPath } from '../../bytes/source/siblingPath.ts';
import type { Format, OpenContext } from '../../formats/format.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { joinShards, type ShardIndex } from './joinShards.ts';

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
  const index = await readIndex(source, context);
  const shards = [...new Set(index.shardOf.values())].sort();
  if (shards.length > MAX_SHARDS)
    throw new RankscopeError('too-large', source.name, `it names ${shards.length} shards, more than ${MAX_SHARDS}`);
  const paths = await Promise.all(shards.map((shard) => siblingPath(source.name, shard, 'shard')));
  const { identity, name } = source;
  const checkpoint = await joinShards({ name, shards, paths, index: { ...index, identity } }, context);
  await source.close();
  return checkpoint;
}

async function readIndex(source: FileSource, { signal, allowance }: OpenContext): Promise<ShardIndex> {
  const malformed = (found: string) =>
    new RankscopeError('malformed', source.name, found, 'It is damaged: copy or download it again');
  if (source.size > MAX_JSON_FILE)
    throw new RankscopeError('too-large', source.name, `an index of ${source.size} bytes; at most ${MAX_JSON_FILE}`);
  allowance.spend(source.size);
  const { buffer, byteOffset, length } = await source.read(0, source.size, signal);
  const bytes = Buffer.from(buffer, byteOffset, length);
  if (!isUtf8(bytes)) throw malformed('the index is not valid UTF-8');
  const json = new JsonCursor(bytes, (memory) => allowance.spend(memory));
  try {
    const index = parseIndex(json, allowance);
    if (!index) throw malformed('the index has no "weight_map"');
    if (index.shardOf.size > MAX_TENSORS)
      throw new RankscopeError('too-large', source.name, `the index lists more than ${MAX_TENSORS} tensors`);
    return index;
  } catch (error) {
    throw error instanceof JsonFault ? malformed(error.message) : error;
  }
}

/** Undefined if there is no weight map. */
function parseIndex(json: JsonCursor, allowance: Allowance): ShardIndex | undefined {
  let shardOf: Map<string, string> | undefined;
  const metadata = new Map<string, string>();
  // A hundred thousand tensors lie in a few hundred files: each file name is kept once.
  const shards = new Map<string, string>();
  json.object((key) => {
    if (key === 'weight_map') {
      const map = new Map<string, string>();
      json.object((name) => {
        const shard = json.string();
        allowance.spend(ENTRY_BYTES);
        if (!shards.has(shard)) shards.set(shard, shard);
        map.set(name, shards.get(shard)!);
      });
      shardOf = map;
    } else if (key === 'metadata') {
      if (!json.objectIfThere((name) => metadata.set(name, json.text()))) json.skip();
    } else {
      json.skip();
    }
  });
  json.end();
  return shardOf && { shardOf, metadata };
}

/** Memory of a tensor's entry in the map of shards, besides its name. */
const ENTRY_BYTES = 100;

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
