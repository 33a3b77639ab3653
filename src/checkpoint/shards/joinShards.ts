import { RankscopeError } from '../../base/errors.ts';
import type { OpenContext } from '../../formats/format.ts';
import type { Checkpoint, FileIdentity, TensorInfo } from '../checkpoint.ts';
import type { ShardIndex } from './shardIndex.ts';

/** Shards opened at once: enough to hide a disk's latency. */
const AT_ONCE = 8;

/** What a tensor takes besides what its shard holds of it. */
const JOINED_BYTES = 300;

interface JoinedTensor extends TensorInfo {
  readonly shard: Checkpoint;
  readonly inShard: TensorInfo;
}

/** The files that one checkpoint is spread over. */
export interface Shards {
  /** What errors call them together: the index, or what the user named. */
  readonly name: string;
  /** Where they are, and what the index calls them. */
  readonly paths: readonly string[];
  readonly shards: readonly string[];
  /** Which tensor is in which; without it, each shard is believed. */
  readonly index?: ShardIndex & { readonly identity: FileIdentity };
}

/** The checkpoint whose tensors lie in these shards. */
export async function joinShards(
  { name, paths, shards, index }: Shards,
  { path, remarks, openPart, allowance }: Pick<OpenContext, 'path' | 'remarks' | 'openPart' | 'allowance'>,
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
    const own = index ? [index.identity] : [];
    const tensors = joinTensors(name, index, shards, parts, own.length);
    const left = parts.reduce((sum, part) => sum + part.tensors.length, 0) - tensors.length;
    const files = [...own, ...parts.flatMap((part) => part.files)];
    return {
      path,
      format: parts[0]?.format ?? 'safetensors',
      files,
      bytes: files.reduce((sum, file) => sum + file.size, 0),
      tensors,
      metadata: new Map([...parts.flatMap((part) => [...part.metadata]), ...(index?.metadata ?? [])]),
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
  name: string,
  index: ShardIndex | undefined,
  shards: readonly string[],
  parts: readonly Checkpoint[],
  firstFile: number,
): JoinedTensor[] {
  const missing = new Map(index?.shardOf);
  const taken = new Set<string>();
  const tensors: JoinedTensor[] = [];
  let file = firstFile;
  for (const [i, part] of parts.entries()) {
    for (const inShard of part.tensors) {
      const { name: tensor, shape, dtype, bytes } = inShard;
      if (index && (index.shardOf.get(tensor) !== shards[i] || !missing.delete(tensor))) continue;
      if (!index && taken.has(tensor))
        throw new RankscopeError(
          'malformed',
          name,
          `two of its shards hold the tensor ${JSON.stringify(tensor)}`,
          'They do not belong together: open them one by one, each in a folder of its own',
        );
      taken.add(tensor);
      const storage = `${i}/${inShard.storage}`;
      tensors.push({ name: tensor, shape, dtype, bytes, storage, file: file + inShard.file, shard: part, inShard });
    }
    file += part.files.length;
  }
  const [first] = missing;
  if (first)
    throw new RankscopeError(
      'malformed',
      name,
      `it says that ${JSON.stringify(first[0])} is in ${first[1]}, which does not hold it`,
      'The index and its shards do not belong together: download them again',
    );
  return tensors;
}
