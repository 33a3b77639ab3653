import type { DenseRole } from './roles.ts';

/** A gain of several dimensions, such as one per head: `q_norm`, `norm1`, `ln_f`. Not `norm1.linear`, a layer. */
const NORM =
  /((norm|norms)|(^|_)(ln|bn|(layer|batch|group|rms)_?norms?|norms?)(_?(\d+|[a-z]|in|out|pre|post|final))?)$/i;

/** Whatever is inside a module with one of these names chooses experts. */
const ROUTER = /(^|_)(routers?(_mlp)?|gate_inp(_shexp)?|gating|shared_experts?_gate)(_[a-z]{1,2})?$/i;

/** `pos_embed`, `position_embeddings`, `embed_positions`, `relative_attention_bias`, `rel_pos_h`; not `pos_proj`. */
const POSITION = oneOf(
  '^(w[pt]?pe|reference_points)$',
  '^pe(_[kv])?$',
  '^(rel|rel_pos|relative_position)_(bias(es)?|h|w|d|t|table)$',
  '(^|_)(pos|position|positions|positional|distance|rel|relative)(_.*)?(emb|enc|bias|table|grid|lookup)',
  '(emb|enc).*_(pos|position|positions|positional)$',
  '^(row|column|col|height|width)_(position_)?emb(ed|edder|edding)?s?$',
  '^[xyhw]_(position_)?emb(ed|edding)?s?$',
);
/** A layer that acts on encoded positions. */
const PROJECTION = /(proj|project|projection|projector|linear|dense|fc|mlp|key|query|value)(_?(\d+|layer))?$/i;

const EMBEDDING = oneOf(
  '^(wte|embed_in|shared|lookup_table|codebooks?|token_types?|W_E)$',
  '(^|_)(emb|embd|embeds?|embeddings?|embeddings?_table|embeds_layer|tokens?)(_?(\\d+|[a-z]))?$',
  '(^|_)embed_(?!dim|out)[a-z_]+$',
  'Embedding(s|Bag)?$',
  'Embedder_\\d+$',
  '^quer(y|ies)_(feat|features|embedder)$',
);

/** A module that turns features into the answer, with all that is in it. */
const HEAD = oneOf(
  '(^|_)heads?$',
  '^(lm_?head|cls|classifier\\w*|score|scorer|qa_outputs|embed_out|fc_out|unembed(ding)?|pred_layer|output_layer|lm_loss|vocab_transform)$',
  '(^|_)(?<!denoising_)(class|bbox)_(embed|predictor)(_\\w+)?$',
  '(^|_)(classifier|predictor|predictions?|logits?|logits_dense|output_projection|vocab_proj(ector)?)$',
);
/** The same, for names that mean a head only where nothing is around them. */
const OUTERMOST_HEAD = /^(output|ff_out|proj_out|conv_out|decoder|fc|generator|to_logits|final_layer(\.linear)?|out)$/i;

/** What an image, a spectrogram or a latent passes first. */
const STEM = oneOf(
  'patch_?(embed|embedd?ings?|embd|embedder|conv|ify|ing)',
  '(^|_)stem(s|\\d+[a-z]?|_conv\\d*)?$',
  '^(conv_?in|x_embedder|img_in|txt_in|context_embedder|patchify\\w*|(conv_)?subsampl\\w*|input_conv\\w*|mel_conv)$',
);
const STEM_PATH = /(^|\.)(feature_(extractor|encoder)\.conv_layers\.|embedder\..*convolution$)/;

/** What is found in a layer, and never in a head or a stem of one or two layers. */
const LAYER = /(^|[._])(self|attn|attention|mlp|ffn|feed_?forward|[qkv]_proj|query|key|value|encoder)([._]|$)/;

/**
 * The role that a path implies by itself, whatever the family; undefined if it is none of them.
 * @param path without `.weight`, every number written `#`.
 */
export function denseRoleOfPath(path: string): DenseRole | undefined {
  const words = path.split('.');
  while (words.length > 1 && /^(#|weight|kernel)$/.test(words.at(-1)!)) words.pop();
  const last = words.at(-1)!;
  if (words.some((word) => ROUTER.test(word))) return 'router';
  if (NORM.test(last) || (/^(scale|shift|gain)$/.test(last) && NORM.test(words.at(-2) ?? ''))) return 'norm';
  if (words.slice(-2).some((word) => POSITION.test(word)) && !PROJECTION.test(last)) return 'position';
  const surrounds = (pattern: RegExp) => {
    const at = words.findIndex((word) => pattern.test(word));
    return at >= 0 && !words.slice(0, at).includes('#') && !LAYER.test(words.slice(at + 1).join('.'));
  };
  if (surrounds(STEM) || STEM_PATH.test(path)) return 'stem';
  if (surrounds(HEAD) || OUTERMOST_HEAD.test(words.join('.'))) return 'head';
  // A table of object queries; inside an attention, `query` is a layer.
  if (EMBEDDING.test(last) || path === 'query') return 'embedding';
  return undefined;
}

function oneOf(...patterns: readonly string[]): RegExp {
  return new RegExp(patterns.join('|'), 'i');
}
