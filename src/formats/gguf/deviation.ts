import { throwIfCancelled } from '../../base/errors.ts';
import { spreadRanges } from '../../bytes/source/spreadRanges.ts';
import type { StoredTensor } from '../../checkpoint/storedCheckpoint.ts';
import { BLOCK_VARIANCES } from './rounding.ts';
import type { GgmlType } from './types.ts';

/**
 * The standard deviation of the error that quantization left in `length` elements from `start`, estimated from a sample of their blocks;
 * undefined for a type of which nothing can be said (`rounding.ts`).
 */
export async function blockDeviation(
  { source, offset, bytes, type, name }: StoredTensor & { readonly type: GgmlType },
  start: number,
  length: number,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const variance = BLOCK_VARIANCES.get(type.name);
  if (!variance) return undefined;
  const first = Math.floor(start / type.values);
  const end = Math.min(Math.ceil((start + length) / type.values), Math.floor(bytes / type.bytes));
  let sum = 0;
  let blocks = 0;
  for (const [begin, count] of spreadRanges(end - first)) {
    throwIfCancelled(signal, name);
    const chunk = await source.read(offset + (first + begin) * type.bytes, count * type.bytes, signal);
    for (let i = 0; i < count; i++) sum += variance(chunk, i * type.bytes);
    blocks += count;
  }
  return blocks > 0 ? Math.sqrt(sum / blocks) : undefined;
}
