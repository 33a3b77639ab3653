import { createReadStream } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { refuseIfFull } from '../../files/freeSpace.ts';
import type { Fingerprint } from '../../files/unfinished.ts';
import { attempt, writeWhole } from '../../files/wholeFile.ts';
import type { WrittenFolder } from '../../model/applied.ts';
import { safetensorsHeader } from '../safetensorsWriter.ts';
import { carriedFiles } from './carriedFiles.ts';
import { MODELING } from './modelingFile.ts';
import { PartialResult } from './partialResult.ts';
import { verifyShard, type WrittenGroup, writeShard } from './shardFile.ts';
import { bytesOf, INDEX, indexOf, type Shard } from './shards.ts';

export interface FolderToWrite {
  readonly out: string;
  readonly shards: readonly Shard[];
  readonly metadata: ReadonlyMap<string, string>;
  /** Small files with their texts. */
  readonly texts: ReadonlyMap<string, string>;
  /** Files that are copied: their folder and their names. */
  readonly from: string;
  readonly carried: readonly string[];
  readonly fingerprint: Fingerprint;
  readonly overwrite: boolean;
  /** The errors that were measured while a group was written, by the names of its matrices. */
  readonly errorsOf: (group: { readonly name: string }) => Readonly<Record<string, number>>;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((done: number, total: number, message: string) => void) | undefined;
}

/** What was written, and the errors of all matrices. */
export interface FolderResult extends Omit<WrittenFolder, 'left'> {
  readonly bytes: number;
  readonly errors: ReadonlyMap<string, number>;
}

const SHARD = /^model(?:-\d+-of-\d+)?\.safetensors$/;
const WEIGHTS = /^model(?:-00001-of-\d+)?\.safetensors$/;

/** Bytes of the shards, with their headers. */
export function shardBytes(shards: readonly Shard[], metadata: ReadonlyMap<string, string>): number {
  return shards.reduce((sum, { file, groups }) => {
    const header = safetensorsHeader(
      groups.flatMap(({ tensors }) => tensors),
      metadata,
      file,
    );
    return groups.reduce((bytes, group) => bytes + bytesOf(group), sum + header.length);
  }, 0);
}

/**
 * Writes a model folder that grows beside its name, is read back, and gets its name as a whole. An earlier run of the
 * same work that was stopped is continued behind the last matrix that it wrote.
 * @throws RankscopeError 'wrong-use' for a folder that exists and may not be replaced, 'write-failed', 'cancelled', and
 *   what the tensors throw
 */
export async function writeFolder(folder: FolderToWrite): Promise<FolderResult> {
  const { out, shards, metadata, signal, progress } = folder;
  const replaces = await checkFolder(folder);
  const partial = await PartialResult.open(out, folder.fingerprint, folder.overwrite);
  const total = shards.reduce((sum, { groups }) => sum + groups.length, shards.length);
  const written = new Map(shards.map(({ file }) => [file, [] as WrittenGroup[]]));
  let [done, resumedTensors] = [0, 0];
  try {
    for (const shard of shards) {
      const path = partial.path(shard.file);
      await writeShard({
        path,
        shard,
        metadata,
        earlier: partial.earlier(shard.file),
        errorsOf: folder.errorsOf,
        record: async (group, isFound) => {
          written.get(shard.file)!.push(group);
          if (isFound) resumedTensors++;
          else await partial.record(group);
          progress?.(++done, total, group.group);
        },
        signal,
      });
    }
    for (const shard of shards) {
      const path = partial.path(shard.file);
      await verifyShard(path, shard, metadata, written.get(shard.file)!, signal);
      progress?.(++done, total, `${shard.file} read back`);
    }
    const texts = new Map(folder.texts);
    const index = indexOf(shards);
    if (index !== null) texts.set(INDEX, index);
    for (const [name, text] of texts)
      await writeWhole(partial.path(name), { overwrite: true }, (append) => append(text));
    for (const name of folder.carried) {
      throwIfCancelled(signal, out);
      await copy(join(folder.from, name), partial.path(name));
    }
    await partial.keepOnly(new Set([...shards.map(({ file }) => file), ...texts.keys(), ...folder.carried]));
    throwIfCancelled(signal, out);
    await partial.finish(replaces);
  } catch (error) {
    await partial.removeIfEmpty();
    throw error;
  }
  return {
    bytes: shardBytes(shards, metadata),
    shards: shards.map(({ file }) => file),
    carried: folder.carried,
    resumedTensors,
    errors: new Map([...written.values()].flat().flatMap(({ errors }) => Object.entries(errors))),
  };
}

/**
 * Checks before any work is done that the folder may be written and has room; returns whether one is replaced.
 * @throws RankscopeError 'wrong-use', 'write-failed'
 */
export async function checkFolder(
  folder: Pick<FolderToWrite, 'out' | 'from' | 'overwrite' | 'shards' | 'metadata' | 'texts' | 'carried'>,
): Promise<boolean> {
  const { out, from, overwrite } = folder;
  const parent = await attempt(out, () => realpath(dirname(resolve(out))));
  const target = await realpath(out).catch(() => resolve(out));
  const source = await realpath(from);
  if (target === source || source.startsWith(`${target}/`))
    throw new RankscopeError('wrong-use', out, 'this is the folder of the source', 'Choose another name');
  await refuseIfFull(out, parent, shardBytes(folder.shards, folder.metadata));
  const found = await stat(out).catch(() => undefined);
  if (!found) return false;
  if (found.isDirectory() && (await readdir(out)).length === 0) return true;
  if (!overwrite) throw new RankscopeError('wrong-use', out, 'it exists', 'Choose another name, or allow overwriting');
  if (!(await isOurs(out)))
    throw new RankscopeError('wrong-use', out, 'it holds something else', 'Delete it yourself, or choose another name');
  const own = await addedTo(out, folder);
  if (own !== undefined)
    throw new RankscopeError('wrong-use', out, `it also holds ${own}`, 'Move that elsewhere, or choose another name');
  return true;
}

/** A file of a folder that was not written here, and would be lost with it. */
async function addedTo(
  out: string,
  { texts, carried }: Pick<FolderToWrite, 'texts' | 'carried'>,
): Promise<string | undefined> {
  const rewritten = new Set([INDEX, MODELING, ...texts.keys(), ...carried]);
  const names = (await readdir(out)).filter((name) => !SHARD.test(name) && !rewritten.has(name));
  // The source of the earlier result may have come with more.
  return carriedFiles(names, new Set(), false).left[0];
}

/** Whether the weights of a folder were written here. */
async function isOurs(out: string): Promise<boolean> {
  const [weights] = (await readdir(out).catch(() => [])).filter((name) => WEIGHTS.test(name));
  if (weights === undefined) return false;
  const handle = await attempt(out, () => open(join(out, weights), 'r'));
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
    return buffer.subarray(0, bytesRead).includes('"rankscope.format":"');
  } finally {
    await handle.close();
  }
}

async function copy(from: string, to: string): Promise<void> {
  await writeWhole(to, { overwrite: true }, async (append) => {
    for await (const piece of createReadStream(from)) await append(piece as Uint8Array);
  });
}
