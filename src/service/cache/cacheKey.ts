import { createHash } from 'node:crypto';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { updateOf } from '../../model/adapters.ts';
import type { Provenance } from '../../model/findings.ts';
import type { MatrixRef } from '../../model/names/anatomy.ts';
import { CACHE_VERSION } from './cache.ts';

/**
 * Names a result: the file as it was (path, size, modification time), the bytes in it, how they are read, the engine, and the version of
 * all that computes. A file that changed, an engine that was exchanged or a new version of Rankscope never meets an old result.
 */
export function cacheKey(
  checkpoint: Checkpoint,
  { tensor, rows, cols, offset }: MatrixRef,
  engine: string,
  provenance: Provenance,
): string {
  const file = checkpoint.files[tensor.file];
  // The factors of an adapter may lie in several shards.
  const others = (updateOf(tensor)?.tensors ?? []).map((part) => checkpoint.files[part.file]);
  const parts = [
    CACHE_VERSION,
    file?.path,
    file?.size,
    file?.mtimeMs,
    tensor.storage,
    tensor.dtype,
    rows,
    cols,
    offset,
    engine,
    provenance,
    ...others.filter((other) => other !== file),
  ];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
