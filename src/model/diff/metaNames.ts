/** Parts of names in Meta's LLaMA code, with those of transformers. */
const PARTS: readonly (readonly [RegExp, string])[] = [
  [/(^|\.)tok_embeddings\./, '$1embed_tokens.'],
  [/(^|\.)output\.(?=weight$)/, '$1lm_head.'],
  [/\.attention\.wq\./, '.self_attn.q_proj.'],
  [/\.attention\.wk\./, '.self_attn.k_proj.'],
  [/\.attention\.wv\./, '.self_attn.v_proj.'],
  [/\.attention\.wo\./, '.self_attn.o_proj.'],
  [/\.feed_forward\.w1\./, '.mlp.gate_proj.'],
  [/\.feed_forward\.w2\./, '.mlp.down_proj.'],
  [/\.feed_forward\.w3\./, '.mlp.up_proj.'],
  [/\.attention_norm\./, '.input_layernorm.'],
  [/\.ffn_norm\./, '.post_attention_layernorm.'],
];

/** Whether a name is of Meta's LLaMA code, whose rows of q and k are in another order than those of transformers. */
export function isMetaProjection(name: string): boolean {
  return /(^|\.)attention\.w[qk]\./.test(name);
}

/** Renames to transformers' names where `names` are those of Meta's LLaMA code; else nothing is renamed. */
export function fromMetaNames(names: readonly string[]): (name: string) => string {
  if (!names.some((name) => name.includes('feed_forward.w1.'))) return (name) => name;
  return (name) => PARTS.reduce((text, [part, own]) => text.replace(part, own), name);
}
