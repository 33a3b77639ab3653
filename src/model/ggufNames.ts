/** llama.cpp's name of a module in a block, and the name that the model's PyTorch code has (gguf-py, tensor_mapping.py). */
const IN_BLOCK: Readonly<Record<string, string>> = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};
const OUTSIDE: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};

/**
 * The name in the model's PyTorch code of a tensor that GGUF calls `name`, for the models built like LLaMA (Mistral, Qwen, ...); undefined
 * for every other name, because llama.cpp calls the parts of unlike models alike. Rows of q and k stand in another order in GGUF
 * (its rotary positions pair other rows), which no singular value sees.
 */
export function pytorchNameOfGguf(name: string): string | undefined {
  const match = /^(?:blk\.(\d+)\.)?([a-z_]+)\.(weight|bias)$/.exec(name);
  if (!match) return undefined;
  const [, layer, part = '', kind] = match;
  const table = layer === undefined ? OUTSIDE : IN_BLOCK;
  if (!Object.hasOwn(table, part)) return undefined;
  return layer === undefined ? `${table[part]}.${kind}` : `model.layers.${layer}.${table[part]}.${kind}`;
}
