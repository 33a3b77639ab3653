import type { Rope, RopeScaling } from '../configuration/decoder.ts';

type Scaling<Kind> = Extract<RopeScaling, { readonly kind: Kind }>;

/** Angles by which one position turns each pair of entries, and a factor of cosines and sines. */
export interface RopeFrequencies {
  readonly frequencies: Float32Array;
  readonly magnitude: number;
}

/** The frequencies for a window of `length` positions; two of the scalings depend on it. */
export function ropeFrequencies({ theta, size, scaling }: Rope, length: number): RopeFrequencies {
  const plain = Float32Array.from({ length: size / 2 }, (_, i) => 1 / Math.fround(theta ** ((2 * i) / size)));
  const scaled = (frequencies: Float32Array, magnitude = 1) => ({ frequencies, magnitude });
  switch (scaling.kind) {
    case 'none':
      return scaled(plain);
    case 'linear':
      return scaled(plain.map((frequency) => frequency / scaling.factor));
    case 'dynamic':
      return scaled(dynamic(plain, theta, size, scaling, length));
    case 'llama3':
      return scaled(plain.map((frequency) => llama3(frequency, scaling)));
    case 'yarn':
      return scaled(yarn(plain, theta, size, scaling), scaling.magnitude);
    case 'longrope': {
      const divisors = length > scaling.original ? scaling.long : scaling.short;
      return scaled(
        plain.map((frequency, i) => frequency / divisors[i]!),
        scaling.magnitude,
      );
    }
  }
}

/** A base that grows with the window beyond the original length ("NTK-aware" scaling). */
function dynamic(
  plain: Float32Array,
  theta: number,
  size: number,
  { factor, original }: Scaling<'dynamic'>,
  length: number,
): Float32Array {
  if (length <= original) return plain;
  const base = theta * ((factor * length) / original - (factor - 1)) ** (size / (size - 2));
  return plain.map((_, i) => 1 / Math.fround(base ** ((2 * i) / size)));
}

/** Long waves are stretched, short ones kept, those between interpolated (Llama 3.1). */
function llama3(frequency: number, { factor, original, low, high }: Scaling<'llama3'>): number {
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > original / low) return frequency / factor;
  if (wavelength < original / high) return frequency;
  const smooth = (original / wavelength - low) / (high - low);
  return (1 - smooth) * (frequency / factor) + smooth * frequency;
}

/** YaRN (Peng, Quesnelle, Fan, Shippole, arXiv 2309.00071): a ramp over the dimensions, between two rotation counts. */
function yarn(
  plain: Float32Array,
  theta: number,
  size: number,
  { factor, original, fast, slow, truncate }: Scaling<'yarn'>,
): Float32Array {
  const dimension = (turns: number) => (size * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [from, to] = truncate
    ? [Math.floor(dimension(fast)), Math.ceil(dimension(slow))]
    : [dimension(fast), dimension(slow)];
  const first = Math.max(from, 0);
  const last = Math.min(to, size - 1);
  const width = last === first ? 0.001 : last - first;
  return plain.map((frequency, i) => {
    const ramp = Math.min(1, Math.max(0, (i - first) / width));
    return (frequency / factor) * ramp + frequency * (1 - ramp);
  });
}
