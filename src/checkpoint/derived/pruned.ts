import { valuesIn } from '../tensor.ts';
import type { DerivationRule } from './derivedTensor.ts';

/** A weight under torch.nn.utils.prune: `weight_orig` times `weight_mask`. */
export const pruned: DerivationRule = (main, tensors) => {
  const name = /^((?:.*[._])?weight(?:_\w+)?)_orig$/.exec(main.name)?.[1];
  const mask = tensors.get(`${name}_mask`);
  if (name === undefined || !mask || tensors.has(name) || mask.shape.join() !== main.shape.join()) return undefined;
  if (main.shape.length < 2) return undefined;
  return {
    name,
    by: 'pruning',
    parts: [main, mask],
    async apply(start, values, signal) {
      const kept = await valuesIn(mask, start, values.length, signal);
      for (let i = 0; i < values.length; i++) values[i]! *= kept[i]!;
    },
  };
};
