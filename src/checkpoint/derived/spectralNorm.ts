import { elementCount } from '../../base/shape.ts';
import { type Tensor, valuesOf } from '../tensor.ts';
import { type DerivationRule, eachPart, once } from './derivedTensor.ts';

/**
 * Spectral normalization (Miyato et al. 2018) as PyTorch stores it: w = W / sigma with sigma = u^T W v, where u and v
 * are the vectors of its last power iteration: `weight_orig`, `weight_u` and `weight_v`, or `parametrizations.weight`
 * with `original`, `0._u` and `0._v`. u runs along the outputs, which are the second axis of a transposed convolution.
 */
export const spectralNorm: DerivationRule = (main, tensors) => {
  const named = namesOf(main.name);
  const [u, v] = [named && tensors.get(named.u), named && tensors.get(named.v)];
  if (!named || !u || !v || tensors.has(named.weight) || u.shape.length !== 1 || v.shape.length !== 1) return undefined;
  const { shape } = main;
  const [height = 0] = u.shape;
  const axis = shape[0] === height ? 0 : 1;
  if (shape.length < 2 || shape.includes(0) || shape[axis] !== height) return undefined;
  if (height * v.shape[0]! !== elementCount(shape)) return undefined;
  const sigma = once((signal) => sigmaOf(main, u, v, axis, signal));
  return {
    name: named.weight,
    by: 'spectral norm',
    parts: [main, u, v],
    async apply(_start, values, signal) {
      const scale = await sigma(signal);
      for (let i = 0; i < values.length; i++) values[i]! /= scale;
    },
  };
};

function namesOf(name: string): { readonly weight: string; readonly u: string; readonly v: string } | undefined {
  const own = /^((?:.*[._])?weight(?:_\w+)?)_orig$/.exec(name)?.[1];
  if (own !== undefined) return { weight: own, u: `${own}_u`, v: `${own}_v` };
  const [, module, parameter] = /^(.*?)parametrizations\.(\w+)\.original$/.exec(name) ?? [];
  if (parameter === undefined) return undefined;
  const path = name.replace(/original$/, '');
  return { weight: `${module}${parameter}`, u: `${path}0._u`, v: `${path}0._v` };
}

/** u^T W v, with `axis` moved to the front of W and its other axes counted together. */
async function sigmaOf(main: Tensor, u: Tensor, v: Tensor, axis: 0 | 1, signal: AbortSignal | undefined) {
  const [left, right] = await Promise.all([valuesOf(u, signal), valuesOf(v, signal)]);
  const second = main.shape[1]!;
  const inner = elementCount(main.shape.slice(axis + 1));
  let sigma = 0;
  await eachPart(
    main,
    (start, values) => {
      for (let i = 0; i < values.length; i++) {
        const at = start + i;
        const [row, column] =
          axis === 0
            ? [Math.floor(at / inner), at % inner]
            : [Math.floor(at / inner) % second, Math.floor(at / (inner * second)) * inner + (at % inner)];
        sigma += left[row]! * values[i]! * right[column]!;
      }
    },
    signal,
  );
  return sigma;
}
