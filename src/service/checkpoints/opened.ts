import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type AdapterReading, readAdapter, withUpdates } from '../../adapters/readAdapter.ts';
import { type ErrorCode, RankscopeError } from '../../base/errors.ts';
import type { FileIdentity } from '../../bytes/source/fileSource.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { equalContent } from '../../checkpoint/equalContent.ts';
import { openCheckpoint } from '../../checkpoint/open.ts';
import { countParameters, ties } from '../../checkpoint/ties.ts';
import { dimensionsOf } from '../../model/layout/dimensions.ts';
import { isStored, type Matrix } from '../../model/matrix.ts';
import { type Anatomy, anatomy } from '../../model/names/anatomy.ts';
import { familyOfMetadata } from '../../model/names/familyNames.ts';
import { placeOf } from '../../model/place.ts';
import type { CheckpointView } from '../../protocol/service.ts';
import { SharedHandles } from '../sharedHandles.ts';

/** An open checkpoint with what its directory says about the network. */
export interface Opened {
  readonly checkpoint: Checkpoint;
  readonly anatomy: Anatomy;
  /** The adapters in it. */
  readonly adapter: AdapterReading;
  /** Tied groups: by storage, and after `tiesByContent` also by content. */
  ties(): readonly (readonly string[])[];
  /** Also finds tensors of equal content; the search is made once. */
  tiesByContent(signal: AbortSignal | undefined): Promise<readonly (readonly string[])[]>;
}

/** Unused checkpoints kept open for the next call; each costs its directory and a file descriptor per shard. */
const KEPT = 4;
const IDLE_MS = 120_000;
/** Up to this size, contents are compared on opening, which takes tens of milliseconds. */
const SMALL_BYTES = 64 * 2 ** 20;
const SMALL_TENSORS = 2000;

/** The open checkpoints by path. A file that has changed since is reopened for the next caller. */
export class OpenCheckpoints {
  private readonly handles = new SharedHandles<Opened>({
    close: ({ checkpoint }) => checkpoint.close(),
    keep: KEPT,
    idleMs: IDLE_MS,
  });

  async use<Result>(
    file: string,
    signal: AbortSignal | undefined,
    job: (opened: Opened) => Promise<Result>,
  ): Promise<Result> {
    const key = resolve(file);
    const before = await this.handles.peek(key);
    if (before && !(await unchanged(before.checkpoint.files))) this.handles.evict(key);
    try {
      return await this.handles.use(key, () => open(file), job, signal);
    } catch (error) {
      if (isCode(error, 'changed')) this.handles.evict(key);
      throw error;
    }
  }

  /** Runs `job` while all of these are open. */
  useAll<Result>(
    files: readonly string[],
    signal: AbortSignal | undefined,
    job: (opened: readonly Opened[]) => Promise<Result>,
  ): Promise<Result> {
    const opened: Opened[] = [];
    const useNext = (): Promise<Result> => {
      const file = files[opened.length];
      if (file === undefined) return job(opened);
      return this.use(file, signal, (next) => {
        opened.push(next);
        return useNext();
      });
    };
    return useNext();
  }

  close(): Promise<void> {
    return this.handles.close();
  }
}

async function open(file: string): Promise<Opened> {
  const checkpoint = await openCheckpoint(file);
  const adapter = await closingOnFailure(checkpoint, () => readAdapter(checkpoint));
  const refused = new Map(
    adapter.refused.flatMap(({ tensors, reason }) => tensors.map((part) => [part, reason] as const)),
  );
  const dimensions = dimensionsOf(checkpoint.configuration, checkpoint.metadata);
  const found = anatomy(withUpdates(checkpoint.tensors, adapter.updates), refused, dimensions);
  let groups: readonly (readonly string[])[] = ties(checkpoint.tensors);
  let byContent: Promise<readonly (readonly string[])[]> | undefined;
  const opened: Opened = {
    checkpoint,
    anatomy: found,
    adapter,
    ties: () => groups,
    async tiesByContent(signal) {
      for (;;) {
        byContent ??= equalContent(checkpoint.tensors, signal).then((found) => ties(checkpoint.tensors, found));
        try {
          groups = await byContent;
          return groups;
        } catch (error) {
          byContent = undefined;
          // Another caller's cancellation does not cancel this call.
          const othersCancelled = isCode(error, 'cancelled') && !signal?.aborted;
          if (othersCancelled) continue;
          if (isCode(error, 'cancelled') || isCode(error, 'changed')) throw error;
          // One unreadable tensor does not prevent the rest; its analysis will report it.
          return groups;
        }
      }
    },
  };
  if (checkpoint.bytes <= SMALL_BYTES && checkpoint.tensors.length <= SMALL_TENSORS) {
    await closingOnFailure(checkpoint, () => opened.tiesByContent(undefined));
  }
  return opened;
}

async function closingOnFailure<Result>(checkpoint: Checkpoint, job: () => Promise<Result>): Promise<Result> {
  try {
    return await job();
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/** The matrices to work on, each tied group represented by its first. */
export function distinctMatrices({ anatomy: { matrices }, ties: groups }: Opened): readonly Matrix[] {
  const repeated = new Set(groups().flatMap((group) => group.slice(1)));
  return repeated.size === 0 ? matrices : matrices.filter(({ tensorName }) => !repeated.has(tensorName));
}

export function viewOf(opened: Opened): CheckpointView {
  const { checkpoint, adapter, anatomy: found } = opened;
  return {
    path: checkpoint.path,
    format: checkpoint.format,
    parameters: countParameters(checkpoint.tensors, opened.ties()),
    bytes: checkpoint.bytes,
    family: familyOfMetadata(checkpoint.metadata) ?? found.family,
    layers: found.layers,
    tensors: checkpoint.tensors.map(({ name, shape, dtype, bytes }) => ({ name, shape, dtype, bytes })),
    matrices: distinctMatrices(opened).map((matrix) => {
      const { name, shape, dtype, expert } = matrix;
      const place = { ...placeOf(matrix), ...(expert === null ? {} : { expert }) };
      return { name, shape, dtype, ...place, ...factorsOf(matrix) };
    }),
    ties: opened.ties(),
    skipped: found.skipped,
    warnings: [...checkpoint.warnings, ...found.remarks, ...adapter.remarks],
    security: checkpoint.security,
    metadata: plainObject(metadataOf(opened)),
  };
}

/** The metadata of the file, with a note if it is an adapter. */
function metadataOf({ checkpoint: { metadata }, adapter: { naming, pairs } }: Opened): ReadonlyMap<string, string> {
  if (pairs === 0) return metadata;
  return new Map([...metadata, ['adapter', `${pairs} adapted layers in the naming of ${naming}`]]);
}

function factorsOf(matrix: Matrix): { readonly factors?: readonly string[] } {
  return isStored(matrix) ? {} : { factors: matrix.update.tensors.map(({ name }) => name) };
}

/** @throws RankscopeError 'changed' if a file is no longer the one that was opened. */
export async function refuseChanged({ files }: Checkpoint): Promise<void> {
  const changed = await firstChanged(files);
  if (!changed) return;
  throw new RankscopeError(
    'changed',
    changed.path,
    'the file was replaced, rewritten or deleted while it was being read',
    'Open it again once it is complete',
  );
}

async function unchanged(files: readonly FileIdentity[]): Promise<boolean> {
  return (await firstChanged(files)) === undefined;
}

async function firstChanged(files: readonly FileIdentity[]): Promise<FileIdentity | undefined> {
  for (const file of files) {
    const now = await stat(file.path, { bigint: true }).catch(() => undefined);
    if (!now || Number(now.size) !== file.size || Number(now.mtimeNs) / 1e6 !== file.mtimeMs) return file;
  }
  return undefined;
}

function isCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof RankscopeError && error.code === code;
}

/** Safe for any key, `__proto__` included. */
function plainObject(map: ReadonlyMap<string, string>): Record<string, string> {
  const object: Record<string, string> = {};
  for (const [key, value] of map) {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  }
  return object;
}
