import { digestOf } from '../../files/digest.ts';
import type { Matrix } from '../../model/matrix.ts';
import { CACHE_VERSION } from './cache.ts';

/**
 * Identifies a result by everything it depends on: the file as it was (path, size, modification time), the place in it
 * and how it is read, the device, and the version of the computation. A changed file, another device or a new version
 * of Rankscope never finds an old result.
 */
export function cacheKey(matrix: Matrix, engine: string, accuracy: 'coarse' | 'preview' | 'exact'): string {
  return digestOf([CACHE_VERSION, matrix.identity(), engine, accuracy]);
}
