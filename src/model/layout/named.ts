import type { TensorDescription } from '../../checkpoint/tensor.ts';
import { type Layout, layout } from './layout.ts';
import type { Neighbourhood } from './neighbourhood.ts';

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
  // CLIP of OpenAI and OpenCLIP, Gemma 3: the right operand of a product.
  { name: /(^|\.)(visual\.proj|text_projection|mm_input_projection_weight)$/, axes: 'in out' },
];

/** The layout of a parameter that a library names in a way of its own. */
export function namedLayout(tensor: TensorDescription, neighbourhood: Neighbourhood): Layout | undefined {
  const { name, shape } = tensor;
  if (shape.length === 2 && ROWS_OF_EXPERTS.test(name)) return rowsOfExperts(tensor, neighbourhood);
  for (const known of PARAMETERS)
    if (known.axes.split(' ').length === shape.length && known.name.test(name))
      return layout(known.axes, shape, { fixed: 'a bare parameter, not the weight of a layer' });
  return undefined;
}

/** DBRX and MegaBlocks: the rows of all experts below each other, as (out, in) in w1 and v1 and as (in, out) in w2. */
const ROWS_OF_EXPERTS = /(^|\.)experts\.mlp\.(w1|v1|w2)$/;

function rowsOfExperts({ name, shape }: TensorDescription, { named, dimensions }: Neighbourhood): Layout | undefined {
  const [rows = 0, width = 0] = shape;
  const router = named(name.replace(/experts\.mlp\.\w+$/, 'router.layer.weight'));
  const experts = router?.shape[0] ?? [...dimensions.experts].find((count) => rows % count === 0) ?? 0;
  if (!(experts > 1 && rows % experts === 0)) return undefined;
  const words = name.endsWith('w2') ? 'expert in out' : 'expert out in';
  return layout(words, [experts, rows / experts, width], { fixed: 'a part of a tensor that holds all experts' });
}
