import { createHash } from 'node:crypto';
import type { Provenance } from '../../model/findings.ts';
import type { Matrix } from '../../model/matrix.ts';
import { CACHE_VERSION } from './cache.ts';

/**
 * Names a result: the file as it was (path, size, modification time), the bytes in it, how they are read, the engine,
 * and the version of all that computes. A file that changed, an engine that was exchanged or a new version of Rankscope
 * never meets an old result.
 */
export function cacheKey(matrix: Matrix, engine: string, provenance: Provenance): string {
  const parts = [CACHE_VERSION, matrix.identity(), engine, provenance];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
