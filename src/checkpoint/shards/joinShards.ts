import { RankscopeError } from '../../base/errors.ts';
import type { FileIdentity } from '../../bytes/source/fileSource.ts';
import type { OpenContext } from '../../formats/format.ts';
import { type Checkpoint, checkpointOver } from '../checkpoint.ts';
import type { Tensor } from '../tensor.ts';

/** Shards opened concurrently, enough to hide a disk's latency. */
const AT_ONCE = 8;

export interface ShardIndex {
  readonly shardOf: ReadonlyMap<string, string>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** The files of a sharded checkpoint. */
export interface Shards {
  /** The name used in errors: the index, or the path that the user named. */
  readonly name: string;
  /** Their paths, and their names in the index. */
  readonly paths: readonly string[];
  readonly shards: readonly string[];
  /** Says which tensor is in which shard; without it, every tensor of every shard is taken. */
  readonly index?: ShardIndex & { readonly identity: FileIdentity };
}

/** Opens the shards and joins them into one checkpoint. */
export async function joinShards(
  { name, paths, shards, index }: Shards,
  { path, remarks, openPart }: Pick<OpenContext, 'path' | 'remarks' | 'openPart'>,
): Promise<Checkpoint> {
  const parts: Checkpoint[] = [];
  try {
    for (let at = 0; at < paths.length; at += AT_ONCE) {
      const opened = await Promise.allSettled(paths.slice(at, at + AT_ONCE).map((shard) => openPart(shard)));
      for (const each of opened) if (each.status === 'fulfilled') parts.push(each.value);
      for (const each of opened) if (each.status === 'rejected') throw each.reason;
    }
    const tensors = joinTensors(name, index, shards, parts);
    const left = parts.reduce((sum, part) => sum + part.tensors.length, 0) - tensors.length;
    return checkpointOver(
      {
        path,
        format: parts[0]?.format ?? 'safetensors',
        files: [...(index ? [index.identity] : []), ...parts.flatMap((part) => part.files)],
        tensors,
        metadata: new Map([...parts.flatMap((part) => [...part.metadata]), ...(index?.metadata ?? [])]),
        warnings: [
          ...remarks,
          ...new Set(parts.flatMap((part) => part.warnings)),
          ...(left ? [`The shards hold ${left} tensors that the index does not list; these are left out.`] : []),
        ],
        security: parts.flatMap((part) => part.security),
      },
      parts,
    );
  } catch (error) {
    await Promise.all(parts.map((part) => part.close()));
    throw error;
  }
}

function joinTensors(
  name: string,
  index: ShardIndex | undefined,
  shards: readonly string[],
  parts: readonly Checkpoint[],
): Tensor[] {
  const missing = new Map(index?.shardOf);
  const taken = new Set<string>();
  const tensors: Tensor[] = [];
  for (const [i, part] of parts.entries()) {
    for (const tensor of part.tensors) {
      if (index && (index.shardOf.get(tensor.name) !== shards[i] || !missing.delete(tensor.name))) continue;
      if (!index && taken.has(tensor.name))
        throw new RankscopeError(
          'malformed',
          name,
          `two of its shards hold the tensor ${JSON.stringify(tensor.name)}`,
          'They do not belong together: put each into a folder of its own and open it there',
        );
      taken.add(tensor.name);
      tensors.push(tensor);
    }
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
