import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { CHUNK_BYTES } from '../../bytes/limits.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';
import { spreadRanges } from '../../bytes/source/spreadRanges.ts';
import { DescribedTensor, type Tensor, type TensorDescription } from '../../checkpoint/tensor.ts';
import { BLOCK_VARIANCES } from './rounding.ts';
import type { GgmlType } from './types.ts';

/** A tensor quantized in blocks, each of which `type` decodes on its own. */
export class BlockTensor extends DescribedTensor implements Tensor {
  readonly source: ByteSource;
  /** Offset of its first block in `source`. */
  readonly offset: number;

  constructor(
    stored: TensorDescription & { readonly source: ByteSource; readonly offset: number },
    readonly type: GgmlType,
  ) {
    super(stored);
    this.source = stored.source;
    this.offset = stored.offset;
  }

  read(start: number, out: Float32Array, signal?: AbortSignal): Promise<void> {
    return readBlocks(this, start, out, signal);
  }

  deviation(start: number, length: number, signal?: AbortSignal): Promise<number | undefined> {
    return blockDeviation(this, start, length, signal);
  }
}

/** Decodes `out.length` elements from element `start`, which may be inside a block. */
async function readBlocks(
  { source, offset, bytes, name, type }: BlockTensor,
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
      // Only part of this block is needed.
      decode(chunk, i * blockBytes, edge, 0);
      const begin = Math.max(from, start);
      out.set(edge.subarray(begin - from, Math.min(from + values, end) - from), begin - start);
    }
  }
}

/**
 * The standard deviation of the error that quantization left in `length` elements from `start`, estimated from a sample
 * of their blocks; undefined for a type of which nothing can be said (`rounding.ts`).
 */
async function blockDeviation(
  { source, offset, bytes, type, name }: BlockTensor,
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
