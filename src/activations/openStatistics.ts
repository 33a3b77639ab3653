import { throwIfCancelled } from '../base/errors.ts';
import { openFileSource } from '../bytes/source/fileSource.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { openCheckpoint } from '../checkpoint/open.ts';
import { imatrixDat } from './imatrixDat.ts';
import { imatrixGguf } from './imatrixGguf.ts';
import { ownStatistics } from './ownStatistics.ts';
import type { Statistics } from './statistics.ts';

/**
 * Opens a file of statistics by its content: our own safetensors file, or llama.cpp's imatrix in GGUF or its older
 * format. Reads no values. The caller closes it.
 * @throws RankscopeError 'not-found', 'unreadable', 'wrong-use' for another kind of file, 'malformed', 'too-large',
 *   'cancelled'
 */
export async function openStatistics(path: string, signal?: AbortSignal): Promise<Statistics> {
  const source = await openFileSource(path);
  try {
    const head = await source.read(0, Math.min(9, source.size), signal);
    const isGguf = String.fromCharCode(...head.subarray(0, 4)) === 'GGUF';
    // A header's length in eight bytes, and the JSON of the header.
    const isSafetensors = head[8] === 0x7b;
    if (!isGguf && !isSafetensors) return await imatrixDat(source, signal);
    await source.close();
    return await openWith(isGguf ? imatrixGguf : ownStatistics, path, signal);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/**
 * Whether a file holds statistics rather than a text: no text contains the byte 0, and all three kinds begin with
 * numbers that do.
 * @throws RankscopeError 'not-found', 'unreadable', 'cancelled'
 */
export async function isStatistics(path: string, signal?: AbortSignal): Promise<boolean> {
  const source = await openFileSource(path);
  try {
    const head = await source.read(0, Math.min(16, source.size), signal);
    const isWideText = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
    return head.includes(0) && !isWideText;
  } finally {
    await source.close();
  }
}

async function openWith(
  read: (checkpoint: Checkpoint, signal: AbortSignal | undefined) => Promise<Statistics>,
  path: string,
  signal: AbortSignal | undefined,
): Promise<Statistics> {
  throwIfCancelled(signal, path);
  const checkpoint = await openCheckpoint(path, { signal });
  try {
    return await read(checkpoint, signal);
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}
