import { elementCount } from '../../base/shape.ts';
import { type Tensor, valuesOf } from '../tensor.ts';
import { type DerivationRule, eachPart, once } from './derivedTensor.ts';

/**
 * Weight normalization (Salimans and Kingma 2016, equation 2) as PyTorch stores it: w = g v / ||v||, in `weight_g` and
 * `weight_v`, or in `parametrizations.weight.original0` and `original1`. The norm is taken over all axes but the one
 * along which g has entries; a single g scales the whole.
 */
export const weightNorm: DerivationRule = (v, tensors) => {
  const named = namesOf(v.name);
  const g = named && tensors.get(named.g);
  if (!named || !g || tensors.has(named.weight)) return undefined;
  const axis = axisOf(v.shape, g.shape);
  if (axis === undefined) return undefined;
  const [size, stride] = axis;
  const factors = once((signal) => factorsOf(v, g, size, stride, signal));
  return {
    name: named.weight,
    by: 'weight norm',
    parts: [v, g],
    async apply(start, values, signal) {
      const factor = await factors(signal);
      for (let i = 0; i < values.length; i++) values[i]! *= factor[Math.floor((start + i) / stride) % size]!;
    },
  };
};

function namesOf(name: string): { readonly weight: string; readonly g: string } | undefined {
  const own = /^((?:.*[._])?weight(?:_\w+)?)_v$/.exec(name)?.[1];
  if (own !== undefined) return { weight: own, g: `${own}_g` };
  const [, module, parameter] = /^(.*?)parametrizations\.(\w+)\.original1$/.exec(name) ?? [];
  if (parameter === undefined) return undefined;
  return { weight: `${module}${parameter}`, g: name.replace(/1$/, '0') };
}

/** The size and stride of the axis of v along which g has its entries; size 1 for a single g. */
function axisOf(v: readonly number[], g: readonly number[]): readonly [size: number, stride: number] | undefined {
  const count = elementCount(g);
  if (v.length < 2 || v.includes(0)) return undefined;
  if (count === 1) return [1, elementCount(v)];
  const axis = g.length === v.length ? g.findIndex((size) => size !== 1) : g.length === 1 ? 0 : -1;
  return v[axis] === count ? [count, elementCount(v.slice(axis + 1))] : undefined;
}

async function factorsOf(
  v: Tensor,
  g: Tensor,
  size: number,
  stride: number,
  signal: AbortSignal | undefined,
): Promise<Float64Array> {
  const squares = new Float64Array(size);
  await eachPart(
    v,
    (start, values) => {
      for (let i = 0; i < values.length; i++) squares[Math.floor((start + i) / stride) % size]! += values[i]! ** 2;
    },
    signal,
  );
  const scale = await valuesOf(g, signal);
  return squares.map((sum, k) => scale[k]! / Math.sqrt(sum));
}
