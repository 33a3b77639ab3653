/**
 * How llama.cpp stores the weights of one architecture, compared with Hugging Face: names (gguf-py, tensor_mapping.py)
 * and what its converter does to rows and values (convert_hf_to_gguf.py).
 */
export interface GgufArchitecture {
  /** Modules outside the blocks, by llama.cpp's names. */
  readonly outside: Readonly<Record<string, string>>;
  /** The path that llama.cpp calls `blk`. */
  readonly layers: string;
  /** Modules in a block; `#` stands for the number of the expert. */
  readonly block: Readonly<Record<string, string>>;
  /** Other names for modules of a block that has the part `part`. */
  readonly variant?: { readonly part: string; readonly block: Readonly<Record<string, string>> };
  /**
   * Whether the rows of q and k are interleaved for llama.cpp's rotary positions, where Hugging Face has two halves of
   * each head.
   */
  readonly pairedRows?: true;
  /** Whether the fused q, k and v are stored one after the other, where Hugging Face interleaves heads or groups. */
  readonly fusedByPart?: true;
  /** Parts that Hugging Face stores as (in, out): GPT-2's Conv1D. */
  readonly transposed?: readonly string[];
  /** Whether the weights of norms are stored with one added. */
  readonly normsPlusOne?: true;
}

const OUTSIDE = { token_embd: 'model.embed_tokens', output_norm: 'model.norm', output: 'lm_head' };
const ATTENTION = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
};
const GATED = { ffn_gate: 'mlp.gate_proj', ffn_up: 'mlp.up_proj', ffn_down: 'mlp.down_proj' };
const NORMS = { attn_norm: 'input_layernorm', ffn_norm: 'post_attention_layernorm' };
const MIXTRAL = {
  ffn_gate_inp: 'block_sparse_moe.gate',
  ffn_gate_exps: 'block_sparse_moe.experts.#.w1',
  ffn_down_exps: 'block_sparse_moe.experts.#.w2',
  ffn_up_exps: 'block_sparse_moe.experts.#.w3',
};
const EXPERTS = {
  ffn_gate_inp: 'mlp.gate',
  ffn_gate_exps: 'mlp.experts.#.gate_proj',
  ffn_up_exps: 'mlp.experts.#.up_proj',
  ffn_down_exps: 'mlp.experts.#.down_proj',
};
const shared = (word: string) => ({
  ffn_gate_shexp: `mlp.${word}.gate_proj`,
  ffn_up_shexp: `mlp.${word}.up_proj`,
  ffn_down_shexp: `mlp.${word}.down_proj`,
});

const LLAMA: GgufArchitecture = {
  outside: OUTSIDE,
  layers: 'model.layers',
  block: { ...ATTENTION, ...GATED, ...NORMS },
};
const withBlock = (block: Readonly<Record<string, string>>): GgufArchitecture => ({
  ...LLAMA,
  block: { ...LLAMA.block, ...block },
});

const POST_NORMS = {
  post_attention_norm: 'post_attention_layernorm',
  post_ffw_norm: 'post_feedforward_layernorm',
};
const GEMMA2: GgufArchitecture = {
  ...withBlock({ ...POST_NORMS, ffn_norm: 'pre_feedforward_layernorm' }),
  normsPlusOne: true,
};

/** The blocks of BLOOM and GPT-NeoX, and of Falcon apart from its norms. */
const FUSED_BLOCK = {
  ffn_up: 'mlp.dense_h_to_4h',
  ffn_down: 'mlp.dense_4h_to_h',
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
};
const GPT2: GgufArchitecture = {
  outside: {
    token_embd: 'transformer.wte',
    position_embd: 'transformer.wpe',
    output_norm: 'transformer.ln_f',
    output: 'lm_head',
  },
  layers: 'transformer.h',
  block: {
    attn_qkv: 'attn.c_attn',
    attn_output: 'attn.c_proj',
    ffn_up: 'mlp.c_fc',
    ffn_down: 'mlp.c_proj',
    attn_norm: 'ln_1',
    ffn_norm: 'ln_2',
  },
};

const ARCHITECTURES: ReadonlyMap<string, GgufArchitecture> = new Map<string, GgufArchitecture>([
  ['llama', { ...withBlock(MIXTRAL), pairedRows: true }],
  ['mistral3', { ...LLAMA, pairedRows: true }],
  ['granite', { ...LLAMA, pairedRows: true }],
  ['smollm3', { ...LLAMA, pairedRows: true }],
  ['arcee', { ...LLAMA, pairedRows: true }],
  ['olmo', { ...LLAMA, pairedRows: true }],
  ['deepseek', { ...withBlock({ ...EXPERTS, ...shared('shared_experts') }), pairedRows: true }],
  ['qwen2', LLAMA],
  ['qwen3', LLAMA],
  ['qwen2moe', withBlock({ ...EXPERTS, ...shared('shared_expert'), ffn_gate_inp_shexp: 'mlp.shared_expert_gate' })],
  ['qwen3moe', withBlock(EXPERTS)],
  ['olmoe', withBlock(EXPERTS)],
  ['olmo2', withBlock(POST_NORMS)],
  ['command-r', LLAMA],
  ['cohere2', LLAMA],
  ['ernie4_5', LLAMA],
  ['seed_oss', withBlock({ post_attention_norm: 'post_attention_layernorm' })],
  ['exaone4', withBlock(POST_NORMS)],
  ['stablelm', LLAMA],
  ['gemma', { ...LLAMA, normsPlusOne: true }],
  ['gemma2', GEMMA2],
  ['gemma3', GEMMA2],
  ['nemotron', { ...LLAMA, normsPlusOne: true }],
  ['phi3', withBlock({ attn_qkv: 'self_attn.qkv_proj', ffn_up: 'mlp.gate_up_proj' })],
  [
    'glm4',
    withBlock({
      ffn_up: 'mlp.gate_up_proj',
      post_attention_norm: 'post_self_attn_layernorm',
      post_ffw_norm: 'post_mlp_layernorm',
    }),
  ],
  ['starcoder2', withBlock({ ffn_up: 'mlp.c_fc', ffn_down: 'mlp.c_proj' })],
  [
    'phi2',
    {
      ...withBlock({ attn_output: 'self_attn.dense', ffn_up: 'mlp.fc1', ffn_down: 'mlp.fc2' }),
      outside: { ...OUTSIDE, output_norm: 'model.final_layernorm' },
    },
  ],
  ['gpt2', { ...GPT2, transposed: ['attn_qkv', 'attn_output', 'ffn_up', 'ffn_down'] }],
  ['starcoder', GPT2],
  [
    'mpt',
    {
      outside: { token_embd: 'transformer.wte', output_norm: 'transformer.norm_f', output: 'lm_head' },
      layers: 'transformer.blocks',
      block: {
        attn_qkv: 'attn.Wqkv',
        attn_output: 'attn.out_proj',
        ffn_up: 'ffn.up_proj',
        ffn_down: 'ffn.down_proj',
        attn_norm: 'norm_1',
        ffn_norm: 'norm_2',
      },
    },
  ],
  [
    'gptneox',
    {
      outside: { token_embd: 'gpt_neox.embed_in', output_norm: 'gpt_neox.final_layer_norm', output: 'embed_out' },
      layers: 'gpt_neox.layers',
      block: { ...FUSED_BLOCK, attn_qkv: 'attention.query_key_value', attn_output: 'attention.dense' },
      fusedByPart: true,
    },
  ],
  [
    'bloom',
    {
      outside: {
        token_embd: 'transformer.word_embeddings',
        token_embd_norm: 'transformer.word_embeddings_layernorm',
        output_norm: 'transformer.ln_f',
        output: 'lm_head',
      },
      layers: 'transformer.h',
      block: { ...FUSED_BLOCK, attn_qkv: 'self_attention.query_key_value', attn_output: 'self_attention.dense' },
      fusedByPart: true,
    },
  ],
  [
    'falcon',
    {
      outside: {
        token_embd: 'transformer.word_embeddings',
        output_norm: 'transformer.ln_f',
        output: 'lm_head',
      },
      layers: 'transformer.h',
      block: { ...FUSED_BLOCK, attn_qkv: 'self_attention.query_key_value', attn_output: 'self_attention.dense' },
      // The larger models have two norms before attention and MLP.
      variant: { part: 'attn_norm_2', block: { attn_norm: 'ln_mlp', attn_norm_2: 'ln_attn' } },
      fusedByPart: true,
    },
  ],
  [
    'bert',
    {
      outside: {
        token_embd: 'embeddings.word_embeddings',
        position_embd: 'embeddings.position_embeddings',
        token_types: 'embeddings.token_type_embeddings',
        token_embd_norm: 'embeddings.LayerNorm',
      },
      layers: 'encoder.layer',
      block: {
        attn_q: 'attention.self.query',
        attn_k: 'attention.self.key',
        attn_v: 'attention.self.value',
        attn_output: 'attention.output.dense',
        attn_output_norm: 'attention.output.LayerNorm',
        ffn_up: 'intermediate.dense',
        ffn_down: 'output.dense',
        layer_output_norm: 'output.LayerNorm',
      },
    },
  ],
]);

/** The architecture by `general.architecture`; undefined if unknown. */
export function ggufArchitecture(name: string | undefined): GgufArchitecture | undefined {
  return ARCHITECTURES.get(name ?? '');
}

/** All that are known; several words may stand for one. */
export function ggufArchitectures(): ReadonlySet<GgufArchitecture> {
  return new Set(ARCHITECTURES.values());
}

/** The variant of the architecture that these tensors have, judged by llama.cpp's names. */
export function variantFor(architecture: GgufArchitecture, names: readonly string[]): GgufArchitecture {
  const { variant, block } = architecture;
  const has = variant && names.some((name) => name.includes(`.${variant.part}.`));
  return has ? { ...architecture, block: { ...block, ...variant.block } } : architecture;
}
