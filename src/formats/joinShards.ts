import { RankscopeError } from '../base/errors.ts';
import type { Checkpoint, TensorInfo } from './checkpoint.ts';
import type { FileSource } from './fileSource.ts';
import type { OpenContext } from './format.ts';
import type { ShardIndex } from './shardIndex.ts';

/** Shards opened at once: enough to hide a disk's latency. */
const AT_ONCE = 8;

/** What a tensor takes besides what its shard holds of it. */
const JOINED_BYTES = 300;

interface JoinedTensor extends TensorInfo {
  readonly shard: Checkpoint;
  readonly inShard: TensorInfo;
}

/** The checkpoint whose tensors lie in `paths`, as `index` says; `shards` are the names that it calls these by. */
export async function joinShards(
  source: FileSource,
  index: ShardIndex,
  shards: readonly string[],
  paths: readonly string[],
  { path, remarks, openPart, allowance }: OpenContext,
): Promise<Checkpoint> {
  const parts: Checkpoint[] = [];
  const close = async () => {
    await Promise.all(parts.map((part) => part.close()));
  };
  try {
    for (let at = 0; at < paths.length; at += AT_ONCE) {
      const opened = await Promise.allSettled(paths.slice(at, at + AT_ONCE).map((shard) => openPart(shard)));
      for (const each of opened) if (each.status === 'fulfilled') parts.push(each.value);
      for (const each of opened) if (each.status === 'rejected') throw each.reason;
    }
    for (const part of parts) allowance.spend(JOINED_BYTES * part.tensors.length);
    const tensors = joinTensors(source.name, index, shards, parts);
    const left = parts.reduce((sum, part) => sum + part.tensors.length, 0) - tensors.length;
    const files = [source.identity, ...parts.flatMap((part) => part.files)];
    return {
      path,
      format: parts[0]?.format ?? 'safetensors',
      files,
      bytes: files.reduce((sum, file) => sum + file.size, 0),
      tensors,
      metadata: new Map([...parts.flatMap((part) => [...part.metadata]), ...index.metadata]),
      warnings: [
        ...remarks,
        ...new Set(parts.flatMap((part) => part.warnings)),
        ...(left ? [`The shards hold ${left} more tensors than the index assigns to them; these are left out.`] : []),
      ],
      security: parts.flatMap((part) => part.security),
      read: (tensor, start, out, signal) =>
        (tensor as JoinedTensor).shard.read((tensor as JoinedTensor).inShard, start, out, signal),
      readStored: (tensor, offset, out, signal) =>
        (tensor as JoinedTensor).shard.readStored?.((tensor as JoinedTensor).inShard, offset, out, signal),
      quantizationDeviation: (tensor, start, length, signal) =>
        (tensor as JoinedTensor).shard.quantizationDeviation?.((tensor as JoinedTensor).inShard, start, length, signal),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function joinTensors(
  indexName: string,
  { shardOf }: ShardIndex,
  shards: readonly string[],
  parts: readonly Checkpoint[],
): JoinedTensor[] {
  const missing = new Map(shardOf);
  const tensors: JoinedTensor[] = [];
  // The index itself is file 0.
  let file = 1;
  for (const [i, part] of parts.entries()) {
    for (const inShard of part.tensors) {
      if (shardOf.get(inShard.name) !== shards[i] || !missing.delete(inShard.name)) continue;
      const { name, shape, dtype, bytes } = inShard;
      const storage = `${i}/${inShard.storage}`;
      tensors.push({ name, shape, dtype, bytes, storage, file: file + inShard.file, shard: part, inShard });
    }
    file += part.files.length;
  }
  const [first] = missing;
  if (first)
    throw new RankscopeError(
      'malformed',
      indexName,
      `it says that ${JSON.stringify(first[0])} is in ${first[1]}, which does not hold it`,
      'The index and its shards do not belong together: download them again',
    );
  return tensors;
}
