import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { MAX_CHANNELS } from '../../bytes/limits.ts';
import type { StoredTensor } from '../../checkpoint/storedTensor.ts';
import { descriptionOf, type Tensor } from '../../checkpoint/tensor.ts';
import { exactNumbers } from './exactNumbers.ts';

/** How whole numbers stand for real ones: value = (q - zero) scale, for the tensor or for each index along `axis`. */
export type Affine =
  | { readonly kind: 'tensor'; readonly scale: number; readonly zero: number }
  | { readonly kind: 'channel'; readonly scales: StoredTensor; readonly zeros: StoredTensor; readonly axis: number };

/** The tensor `stored` of whole numbers as what they stand for. As in torch, one scale is rounded to f32 before it is used, several are not. */
export function affineTensor(stored: StoredTensor, affine: Affine): Tensor {
  let channels: Promise<Channels> | undefined;
  const channelsOf = (signal: AbortSignal | undefined) => {
    channels ??= readChannels(stored, affine, signal).catch((error: unknown) => {
      channels = undefined;
      throw error;
    });
    return channels;
  };
  return {
    ...descriptionOf(stored),
    dtype: `F32 (${stored.dtype})`,
    async read(start, out, signal) {
      const { scales, zeros, inner } = await channelsOf(signal);
      await stored.read(start, out, signal);
      for (let i = 0; i < out.length; i++) {
        const channel = Math.floor((start + i) / inner) % scales.length;
        out[i] = Math.fround(out[i]! - zeros[channel]!) * scales[channel]!;
      }
    },
    // Rounding to steps of one width leaves errors spread evenly over it.
    async deviation(_start, _length, signal) {
      const { scales } = await channelsOf(signal);
      return Math.sqrt(scales.reduce((sum, scale) => sum + scale * scale, 0) / scales.length / 12);
    },
  };
}

interface Channels {
  readonly scales: Float64Array;
  readonly zeros: Float64Array;
  /** Elements that follow each other in one channel. */
  readonly inner: number;
}

async function readChannels(
  { name, shape }: StoredTensor,
  affine: Affine,
  signal: AbortSignal | undefined,
): Promise<Channels> {
  if (affine.kind === 'tensor')
    return {
      scales: Float64Array.of(Math.fround(affine.scale)),
      zeros: Float64Array.of(affine.zero),
      inner: Number.POSITIVE_INFINITY,
    };
  const count = shape[affine.axis] ?? 0;
  const fits = (each: StoredTensor) => each.shape.length === 1 && each.shape[0] === count;
  if (!(count > 0 && count <= MAX_CHANNELS && fits(affine.scales) && fits(affine.zeros)))
    throw new RankscopeError(
      'malformed',
      name,
      `it is quantized by [${affine.scales.shape.join(', ')}] scales along dimension ${affine.axis} of [${shape.join(', ')}]`,
    );
  const inner = elementCount(shape.slice(affine.axis + 1));
  const [scales, zeros] = await Promise.all(
    [affine.scales, affine.zeros].map((each) => exactNumbers(each, 0, count, signal)),
  );
  return { scales: scales!, zeros: zeros!, inner };
}
