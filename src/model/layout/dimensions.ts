/** Sizes that a model's configuration names. A model with several towers names several of each. */
export interface Dimensions {
  /** Of the residual stream. */
  readonly widths: ReadonlySet<number>;
  /** Numbers of experts in a layer. */
  readonly experts: ReadonlySet<number>;
  /** Numbers of attention heads, those of keys and values included. */
  readonly heads: ReadonlySet<number>;
  /** Numbers of groups of convolutions. */
  readonly groups: ReadonlySet<number>;
  /** Inner sizes of an expert, where the configuration names them. */
  readonly expertWidths: ReadonlySet<number>;
  /** Numbers of tokens. */
  readonly vocabularies: ReadonlySet<number>;
}

const noSizes = (): Record<keyof Dimensions, Set<number>> => ({
  widths: new Set(),
  experts: new Set(),
  heads: new Set(),
  groups: new Set(),
  expertWidths: new Set(),
  vocabularies: new Set(),
});

export const NO_DIMENSIONS: Dimensions = noSizes();

type Named = Readonly<Record<string, unknown>>;

/** By the last word of a key, in Hugging Face's configurations and in GGUF's metadata. */
const KEYS: Readonly<Record<keyof Dimensions, RegExp>> = {
  widths: /^(hidden_size|d_model|n_embd|dim|model_dim|embed_dim|hidden_dim|embedding_length|emb_dim)$/,
  experts:
    /^(num_experts|num_local_experts|n_routed_experts|moe_num_experts|num_moe_experts|n_experts|num_experts_per_layer|expert_count|ffn_num_experts|router_num_experts|moe_num_local_experts)$/,
  heads:
    /^(num_attention_heads|num_key_value_heads|n_heads?|num_heads|n_kv_heads|kv_n_heads|head_count|head_count_kv|encoder_attention_heads|decoder_attention_heads)$/,
  groups: /(^|_)(groups|cardinality)$/,
  expertWidths: /^(moe_intermediate_size|intermediate_size|ffn_hidden_size|expert_feed_forward_length|d_ff|n_inner)$/,
  vocabularies: /^(vocab_size|vocabulary_size|n_vocab|padded_vocab_size)$/,
};

/** A configuration is nested a few levels deep at most; deeper ones are cut off. */
const MAX_DEPTH = 4;

/**
 * Collects the sizes that `configuration` (config.json) and `metadata` (GGUF) name, in whatever part of them. Lists,
 * such as a number of experts for each layer, count with all their members.
 */
export function dimensionsOf(configuration: Named | undefined, metadata: ReadonlyMap<string, string>): Dimensions {
  const found = noSizes();
  const note = (key: string, value: unknown): void => {
    for (const value_ of Array.isArray(value) ? value.slice(0, 1024) : [value])
      if (Number.isSafeInteger(value_) && (value_ as number) > 1)
        for (const [kind, pattern] of Object.entries(KEYS))
          if (pattern.test(key)) found[kind as keyof Dimensions].add(value_ as number);
  };
  const visit = (part: Named, depth: number): void => {
    for (const [key, value] of Object.entries(part)) {
      note(key, value);
      if (depth < MAX_DEPTH && typeof value === 'object' && value !== null && !Array.isArray(value))
        visit(value as Named, depth + 1);
    }
  };
  if (configuration) visit(configuration, 0);
  for (const [key, value] of metadata) note(key.slice(key.lastIndexOf('.') + 1), Number(value));
  return found;
}
