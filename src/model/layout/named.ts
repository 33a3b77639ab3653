import { elementCount } from '../../base/shape.ts';
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
  // Gemma in Flax: the operands of its einsums, with the heads first. `kv_einsum` also stacks keys and values.
  { name: /(^|[./])(q|attn_vec)_einsum[./]w$/, axes: 'head in out' },
  { name: /(^|[./])q?kv_einsum[./]w$/, axes: 'slice head in out' },
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
  const axes =
    PARAMETERS.find((known) => known.axes.split(' ').length === shape.length && known.name.test(name))?.axes ??
    axesOfGatedEinsum(tensor, neighbourhood) ??
    axesOfFusedHeads(tensor, neighbourhood);
  return axes === undefined ? undefined : layout(axes, shape, { fixed: 'a bare parameter, not the weight of a layer' });
}

/**
 * The feed-forward block of Gemma in Flax: `linear` is (inner, width), and `gating_einsum` stacks the gate and the up
 * projection as (width, inner) or, in the larger and newer models, as (inner, width).
 */
function axesOfGatedEinsum({ name, shape }: TensorDescription, { named }: Neighbourhood): string | undefined {
  const [, path, word, end = ''] = /^(.*[./]|)(gating_einsum|linear)([./]w)?$/.exec(name) ?? [];
  if (word === 'linear') return shape.length === 2 && named(`${path}gating_einsum${end}`) ? 'in out' : undefined;
  if (word === undefined || shape.length !== 3) return undefined;
  const width = named(`${path}linear${end}`)?.shape[1] ?? shape[1];
  return width !== shape[1] && width === shape[2] ? 'slice out in' : 'slice in out';
}

/**
 * Queries, keys and values of all heads in one tensor of four axes: (3, heads, size, width), (width, 3, heads, size) or
 * (3, heads, width, size). The width is the one that the configuration names, or the product of heads and size.
 */
function axesOfFusedHeads({ name, shape }: TensorDescription, { dimensions }: Neighbourhood): string | undefined {
  if (shape.length !== 4 || shape.includes(1) || !FUSED_HEADS.test(name)) return undefined;
  const others = elementCount(shape) / 3;
  const isWidth = (size = 0) => dimensions.widths.has(size) || size * size === others;
  if ((shape[0] === 3 || shape[1] === 3) && isWidth(shape[3])) return 'out out out in';
  if (shape[1] === 3 && isWidth(shape[0])) return 'in out out out';
  return shape[0] === 3 && isWidth(shape[2]) ? 'slice head in out' : undefined;
}

const FUSED_HEADS = /(^|[._/])(w_?qkv|qkv|qkv_proj|in_proj)([._]weight)?$/i;

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
