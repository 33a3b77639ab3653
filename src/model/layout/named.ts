import type { TensorDescription } from '../../checkpoint/tensor.ts';
import { type Layout, layout } from './layout.ts';

/** A bare parameter of a known library, whose axes do not follow from its shape. */
interface NamedParameter {
  readonly name: RegExp;
  readonly axes: string;
}

const PARAMETERS: readonly NamedParameter[] = [
  // TransformerLens: a matrix for each head, and all matrices as (in, out). W_E, a table of tokens, is not among them.
  { name: /(^|\.)_?W_[QKVO]$/, axes: 'head in out' },
  { name: /(^|\.)W_(in|out|gate|U)$/, axes: 'in out' },
  // XLNet and Transformer-XL: (d, heads, size) for all five, of which only `o` leads back to d.
  { name: /(^|\.)rel_attn\.[qkvr]$/, axes: 'in out out' },
  { name: /(^|\.)rel_attn\.o$/, axes: 'out in in' },
];

/** The layout of a parameter that a library names in a way of its own. */
export function namedLayout({ name, shape }: TensorDescription): Layout | undefined {
  for (const known of PARAMETERS)
    if (known.axes.split(' ').length === shape.length && known.name.test(name))
      return layout(known.axes, shape, { fixed: 'a bare parameter, not the weight of a layer' });
  return undefined;
}
