import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { MAX_CHANNELS } from '../../bytes/limits.ts';
import type { StoredTensor } from '../../checkpoint/storedTensor.ts';
import { descriptionOf, type Tensor } from '../../checkpoint/tensor.ts';
import { exactNumbers } from './exactNumbers.ts';

/** How integers q are dequantized: value = (q - zero) * scale, for the whole tensor or for each index along `axis`. */
export type Affine =
  | { readonly kind: 'tensor'; readonly scale: number; readonly zero: number }
  | { readonly kind: 'channel'; readonly scales: StoredTensor; readonly zeros: StoredTensor; readonly axis: number };

/**
 * The dequantized tensor of the integers in `stored`. As in torch, a scale for the whole tensor is rounded to f32;
 * those of channels are not.
 */
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
    // Rounding to evenly spaced levels leaves an error that is uniform over one step, with the variance step^2 / 12.
    async deviation(_start, _length, signal) {
      const { scales } = await channelsOf(signal);
      return Math.sqrt(scales.reduce((sum, scale) => sum + scale * scale, 0) / scales.length / 12);
    },
  };
}

interface Channels {
  readonly scales: Float64Array;
  readonly zeros: Float64Array;
  /** The number of consecutive elements in the same channel. */
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
  const fits = (parameters: StoredTensor) => parameters.shape.length === 1 && parameters.shape[0] === count;
  if (!(count > 0 && count <= MAX_CHANNELS && fits(affine.scales) && fits(affine.zeros)))
    throw new RankscopeError(
      'malformed',
      name,
      `scales of shape [${affine.scales.shape.join(', ')}] do not fit dimension ${affine.axis} of [${shape.join(', ')}]`,
    );
  const inner = elementCount(shape.slice(affine.axis + 1));
  const [scales, zeros] = await Promise.all(
    [affine.scales, affine.zeros].map((parameters) => exactNumbers(parameters, 0, count, signal)),
  );
  return { scales: scales!, zeros: zeros!, inner };
}
