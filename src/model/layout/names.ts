/*
 * What names say about the layer to which a tensor belongs. They are words of whole path segments: `experts`, `conv1`,
 * `deconv`. Shapes and neighbours are asked first wherever they can answer.
 */

/** A mixture of experts: `experts`, `block_sparse_moe`, `switch_mlp`, `ffn_up_exps`. */
const EXPERTS = /(^|[._])(\w*experts?|\w*moe\w*|switch_(mlp|glu)|\w+_(ch)?exps)(?=[._]|$)/i;

export function isOfExperts(module: string): boolean {
  return EXPERTS.test(module);
}

/** What scores the experts of a layer. */
export function isRouter(module: string): boolean {
  return /(^|[._])(router|gate|gating|ffn_gate_inp|gate_proj_router|wg|score|switch)(?=[._]|$)/i.test(module);
}

export function isConvolution(module: string): boolean {
  return /conv|downsample|patch_?emb|\bstem\b|(^|[._])(dw|pw)(?=[._\d]|$)|fir_filter|short_filter/i.test(module);
}

/** `deconv`, `conv_transpose`, `tconv1`, `ups.0`. */
export function isTransposedConvolution(module: string): boolean {
  return /de_?conv|conv\w*_?trans|(^|[._])(conv\d*d?_?t|t_?conv)\d*(?=[._]|$)|(^|\.)ups\.\d+(\.\d+)?$/i.test(module);
}

/** Enlarges its input; an ordinary convolution after an interpolation has such a name as well. */
export function isUpsampling(module: string): boolean {
  return /up_?conv|up_?sampl|(^|\.)up_?\d*(?=\.|$)/i.test(lastTwo(module));
}

export function isGroupedConvolution(module: string): boolean {
  return /group(ed)?|(^|[._])g_?conv|conv_?g\d*(?=[._]|$)|pos_conv|depth_?wise/i.test(module);
}

/** Y = x1^T W x2 + b for each output. */
export function isBilinear(module: string): boolean {
  return /bi_?linear|bi_?affine|(^|[._])bi(?=[._\d]|$)/i.test(module);
}

export function isAttention(module: string): boolean {
  return /attn|attention|(^|[._])(q|k|v|o|qkv|mha)(_proj)?(?=[._]|$)/i.test(module);
}

/** A table with an entry for each position or token, rather than a stack of matrices. */
export function isTable(module: string): boolean {
  return /pos|emb|token|table|query_?tokens|latent|prompt|codebook|cls|mem|anchor|prior|register|mask/i.test(
    lastTwo(module),
  );
}

function lastTwo(module: string): string {
  return module.split('.').slice(-2).join('.');
}

/**
 * Whether the layer reads the residual stream or writes to it, by the usual names of the linear layers of a network's
 * feed-forward blocks; undefined for others.
 */
export function direction(word: string): 'reads' | 'writes' | undefined {
  const name = word.toLowerCase().replace(/_(ch)?exps$|_?weights?$|_blocks$|_(ch)?experts?$/, '');
  if (
    /^(ffn_)?(gate_?up|up_?gate|gate_?and_?up|gate|up|w1|w3|v1|w13|w_?in|wi(_[01])?|fc1|fc_?in|c_fc|mlp1|input_linear|dense_h_to_4h|in|linear_?1|linear_?v|up_gate|(\w+_)?head|classifier)(_proj)?$/.test(
      name,
    )
  )
    return 'reads';
  if (
    /^(ffn_)?(down|w2|w_?out|wo|fc2|fc_?out|c_proj|mlp2|output_linear|dense_4h_to_h|out|linear_?2)(_proj)?$/.test(name)
  )
    return 'writes';
  return undefined;
}

/** The same of the projections of an attention: `q_proj`, `wk`, `value`, `o_proj`. */
export function attentionDirection(word: string): 'reads' | 'writes' | undefined {
  if (/^(w_?)?([qkv]|query|key|value)(_proj)?$/i.test(word)) return 'reads';
  return /^(w_?)?(o|out|output)(_proj)?$/i.test(word) ? 'writes' : undefined;
}

/** Whether the layer holds the gate and the up projection in one: its outputs are twice the inner size. */
export function isFusedGate(word: string): boolean {
  return /gate_?up|up_?gate|w13|mlp1|input_linear|gate_?and_?up/i.test(word);
}
