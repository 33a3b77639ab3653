import { stat } from 'node:fs/promises';
import { throwIfCancelled } from '../base/errors.ts';
import { Allowance } from '../bytes/allowance.ts';
import { attempt, openFileSource } from '../bytes/source/fileSource.ts';
import type { Format, OpenContext } from '../formats/format.ts';
import { FILE_FORMATS, FORMATS } from '../formats/registry.ts';
import type { Checkpoint } from './checkpoint.ts';
import { deriveWeights } from './derived/deriveWeights.ts';
import { detect } from './detect.ts';
import { checkpointIn } from './folder.ts';
import { withModelFolder } from './modelFolder.ts';
import { unpackQuantized } from './quantized/unpack.ts';
import { openParallelParts, parallelParts } from './shards/parallelParts.ts';
import { shardIndex } from './shards/shardIndex.ts';
import { openShardSet, shardRemark, shardSetOf } from './shards/shardSet.ts';

/** What the user may name: besides the formats, an index, which stands for the files it lists. */
const ENTRIES: readonly Format[] = [shardIndex, ...FORMATS];

export interface OpenOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a checkpoint file, a shard index, any shard of a set without an index or part of a model in parallel parts (as
 * the whole), or a model folder. Reads directories only, no values. The caller closes the result.
 * @throws RankscopeError that names the file, what was found and what to do.
 */
export async function openCheckpoint(path: string, options: OpenOptions = {}): Promise<Checkpoint> {
  throwIfCancelled(options.signal, path);
  const stats = await attempt(path, () => stat(path));
  const whole = { path, allowance: new Allowance(path), signal: options.signal };
  const file = stats.isDirectory() ? await checkpointIn(path, ENTRIES, whole) : path;
  const openPart = (part: string) => openFile(part, FILE_FORMATS, whole);
  const [set, parts] = [await shardSetOf(file), await parallelParts(file)];
  const checkpoint = parts
    ? await openParallelParts(parts, { ...whole, openPart })
    : set && !set.indexed
      ? await openShardSet(set, { ...whole, openPart })
      : await openFile(file, ENTRIES, whole, set && [shardRemark(set)]);
  try {
    return await withModelFolder(deriveWeights(await unpackQuantized(checkpoint, whole)), whole);
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/** Opens one file of a checkpoint. */
async function openFile(
  file: string,
  formats: readonly Format[],
  whole: Pick<OpenContext, 'path' | 'allowance' | 'signal'>,
  more: readonly string[] = [],
): Promise<Checkpoint> {
  const source = await openFileSource(file);
  try {
    whole.allowance.widen(source.size);
    const { format, remarks } = await detect(source, formats, whole);
    const openPart = (part: string) => openFile(part, FILE_FORMATS, whole);
    return await format.open(source, { ...whole, remarks: [...remarks, ...more], openPart });
  } catch (error) {
    await source.close();
    throw error;
  }
}
