import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { attempt } from '../../files/wholeFile.ts';
import { safetensorsHeader } from '../safetensorsWriter.ts';
import type { TensorGroup } from '../tensorGroups.ts';
import { bytesOf, type Shard } from './shards.ts';

/** What is known of a group that was written: the SHA-256 of its bytes, and the errors of its matrices by name. */
export interface WrittenGroup {
  readonly shard: string;
  readonly group: string;
  readonly sha256: string;
  readonly errors: Readonly<Record<string, number>>;
}

export interface ShardOptions {
  readonly path: string;
  readonly shard: Shard;
  readonly metadata: ReadonlyMap<string, string>;
  /** What an earlier run wrote, by the names of groups. */
  readonly earlier: ReadonlyMap<string, WrittenGroup>;
  /** Called for each group that is in the file, whether it was found there or written now. */
  readonly record: (written: WrittenGroup, isFound: boolean) => Promise<void>;
  /** The errors that were measured while the group was written. */
  readonly errorsOf: (group: TensorGroup) => Readonly<Record<string, number>>;
  readonly signal?: AbortSignal | undefined;
}

const PIECE = 8 << 20;

/**
 * Writes a shard, going on behind the groups of an earlier run that are still there as they were written. The file may
 * be incomplete when this rejects; its folder is not the final one.
 * @throws RankscopeError 'write-failed', 'cancelled', and what the tensors throw
 */
export async function writeShard(options: ShardOptions): Promise<void> {
  const { path, shard, metadata, signal } = options;
  const header = safetensorsHeader(
    shard.groups.flatMap(({ tensors }) => tensors),
    metadata,
    path,
  );
  const handle = await attempt(path, () => open(path, 'a+'));
  try {
    let { size } = await handle.stat();
    const isSame = size >= header.length && (await startsWith(handle, header));
    let done = 0;
    let at = header.length;
    for (; isSame && done < shard.groups.length; done++) {
      const group = shard.groups[done]!;
      const known = options.earlier.get(group.name);
      const bytes = bytesOf(group);
      if (!known || at + bytes > size) break;
      if ((await sha256At(handle, at, bytes, path, signal)) !== known.sha256) break;
      await options.record(known, true);
      at += bytes;
    }
    size = isSame ? at : 0;
    await attempt(path, () => handle.truncate(size));
    if (!isSame) await attempt(path, () => handle.appendFile(header));
    for (const group of shard.groups.slice(done)) {
      throwIfCancelled(signal, path);
      const sha256 = await append(handle, group, path, signal);
      await options.record({ shard: shard.file, group: group.name, sha256, errors: options.errorsOf(group) }, false);
    }
    throwIfCancelled(signal, path);
    await attempt(path, () => handle.sync());
  } finally {
    await handle.close();
  }
}

/**
 * Reads a shard again and compares every group with what was written.
 * @throws RankscopeError 'write-failed' with the first that differs
 */
export async function verifyShard(
  path: string,
  shard: Shard,
  metadata: ReadonlyMap<string, string>,
  written: readonly WrittenGroup[],
  signal?: AbortSignal,
): Promise<void> {
  const header = safetensorsHeader(
    shard.groups.flatMap(({ tensors }) => tensors),
    metadata,
    path,
  );
  const handle = await attempt(path, () => open(path, 'r'));
  const differs = (what: string) =>
    new RankscopeError(
      'write-failed',
      path,
      `${what} reads back other than it was written`,
      'Check the disk, and run the same command again',
    );
  try {
    if (!(await startsWith(handle, header))) throw differs('the header');
    let at = header.length;
    for (const [k, group] of shard.groups.entries()) {
      const bytes = bytesOf(group);
      if ((await sha256At(handle, at, bytes, path, signal)) !== written[k]?.sha256) throw differs(group.name);
      at += bytes;
    }
    if ((await handle.stat()).size !== at) throw differs(basename(path));
  } finally {
    await handle.close();
  }
}

async function append(
  handle: FileHandle,
  { tensors }: TensorGroup,
  path: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = createHash('sha256');
  for (const tensor of tensors) {
    let written = 0;
    for await (const piece of tensor.content(signal)) {
      throwIfCancelled(signal, path);
      await attempt(path, () => handle.appendFile(piece));
      hash.update(piece);
      written += piece.length;
    }
    if (written !== tensor.bytes)
      throw new RankscopeError('engine', tensor.name, `${written} bytes instead of ${tensor.bytes}`);
  }
  return hash.digest('hex');
}

async function startsWith(handle: FileHandle, header: Uint8Array): Promise<boolean> {
  const found = Buffer.alloc(header.length);
  const { bytesRead } = await handle.read(found, 0, found.length, 0);
  return bytesRead === header.length && found.equals(header);
}

/** The digest of `bytes` bytes from `at` on; of fewer where the file ends. */
async function sha256At(
  handle: FileHandle,
  at: number,
  bytes: number,
  path: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(Math.min(PIECE, bytes));
  for (let done = 0; done < bytes; ) {
    throwIfCancelled(signal, path);
    const { bytesRead } = await attempt(path, () =>
      handle.read(buffer, 0, Math.min(buffer.length, bytes - done), at + done),
    );
    if (bytesRead === 0) break;
    hash.update(buffer.subarray(0, bytesRead));
    done += bytesRead;
  }
  return hash.digest('hex');
}
