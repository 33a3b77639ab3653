import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { CHUNK_BYTES } from '../../bytes/limits.ts';
import type { StoredTensor } from '../../checkpoint/storedCheckpoint.ts';
import type { GgmlType } from './types.ts';

/** Decodes `out.length` elements from element `start`, which need not be the start of a block. */
export async function readBlocks(
  { source, offset, bytes, name, type }: StoredTensor & { readonly type: GgmlType },
  start: number,
  out: Float32Array,
  signal?: AbortSignal,
): Promise<void> {
  const { values, bytes: blockBytes, decode } = type;
  if (!decode) throw new RankscopeError('unsupported', name, `values of type ${type.name} are not in blocks`);
  const end = start + out.length;
  if (!(start >= 0 && Math.ceil(end / values) * blockBytes <= bytes))
    throw new RankscopeError('wrong-use', name, `elements ${start} to ${end} were asked for`);
  const edge = new Float32Array(values);
  const step = Math.floor(CHUNK_BYTES / blockBytes);
  const last = Math.ceil(end / values);
  for (let first = Math.floor(start / values); first < last; first += step) {
    const count = Math.min(step, last - first);
    const chunk = await source.read(offset + first * blockBytes, count * blockBytes, signal);
    throwIfCancelled(signal, name);
    for (let i = 0; i < count; i++) {
      const from = (first + i) * values;
      if (from >= start && from + values <= end) {
        decode(chunk, i * blockBytes, out, from - start);
        continue;
      }
      // Only part of this block was asked for.
      decode(chunk, i * blockBytes, edge, 0);
      const begin = Math.max(from, start);
      out.set(edge.subarray(begin - from, Math.min(from + values, end) - from), begin - start);
    }
  }
}
