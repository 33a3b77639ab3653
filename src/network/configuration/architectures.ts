import type { JsonObject } from '../../bytes/boundedJson.ts';
import type { Activation, NormSettings } from './decoder.ts';

/**
 * How one architecture differs from others: what its configuration leaves unsaid, and the names of its parts. The
 * meanings of keys are those of transformers' configuration classes.
 */
export interface Architecture {
  readonly name: string;
  /** Values of `model_type`. */
  readonly types: readonly string[];
  readonly modules: Modules;
  /** The names of the parts where all experts of a layer are one tensor, as transformers keeps them in memory. */
  readonly stacked?: Modules;
  readonly norm: NormSettings['kind'];
  /** What transformers assumes for keys that are absent. */
  readonly defaults?: JsonObject;
  /** Other words for the keys of LLaMA's configuration. */
  readonly keys?: Readonly<Record<string, string>>;
  readonly normOffset?: number;
  /** Where it is not the one that the configuration names. */
  readonly activation?: Activation;
  /** Whether embeddings are multiplied by the root of the width. */
  readonly rootScale?: true;
  /** Whether the configuration's sliding window is used: in the layers that it names, or in all whatever it names. */
  readonly slides?: true | 'everywhere';
  /** Whether the configuration's cap of the scores is used: Gemma 3 keeps the key, and computes without it. */
  readonly capsScores?: true;
  /** Whether there are no rotary positions. */
  readonly withoutRope?: true;
  /** Rows of the position table before that of the first position. */
  readonly positionOffset?: number;
  /** Whether each head's query, key and value follow each other in a fused matrix, instead of all queries first. */
  readonly fusedByHead?: true;
}

/** Names of modules. */
export interface Modules {
  readonly embedding: string;
  readonly positions?: string;
  /** Between embedding and blocks, and between blocks and head, where their width differs (OPT-350M). */
  readonly projectIn?: string;
  readonly projectOut?: string;
  readonly finalNorm: string;
  readonly head: string;
  /** The path of the blocks, without their numbers. */
  readonly layers: string;
  /** With `#`, each head has one of its own, if the configuration says so. */
  readonly norms: Readonly<Partial<Record<BlockNorm, string>>>;
  readonly linears: Readonly<Partial<Record<BlockLinear, string>>>;
  /** Of the experts, numbered `#`. */
  readonly expert?: ExpertModules;
  /** The weight of the shared expert. */
  readonly sharedWeight?: string;
}

/** Gate and up projection are two, or one with the gate's outputs first. */
export type ExpertModules = Readonly<Partial<Record<'gate' | 'up' | 'gateUp', string>> & Record<'down', string>>;

/** The norms of a block: before a part, after it, and of the heads. */
export type BlockNorm =
  | 'attentionNorm'
  | 'queryNorm'
  | 'keyNorm'
  | 'attentionOutputNorm'
  | 'feedForwardNorm'
  | 'feedForwardOutputNorm';

export type BlockLinear =
  | 'query'
  | 'key'
  | 'value'
  | 'queryKeyValue'
  | 'output'
  | 'gate'
  | 'up'
  | 'gateUp'
  | 'down'
  | 'router'
  | 'sharedGate'
  | 'sharedUp'
  | 'sharedDown';

const ATTENTION = {
  query: 'self_attn.q_proj',
  key: 'self_attn.k_proj',
  value: 'self_attn.v_proj',
  output: 'self_attn.o_proj',
} as const;
const GATED = { gate: 'mlp.gate_proj', up: 'mlp.up_proj', down: 'mlp.down_proj' } as const;
const HEAD_NORMS = { queryNorm: 'self_attn.q_norm', keyNorm: 'self_attn.k_norm' } as const;
const GEMMA2_NORMS = {
  attentionNorm: 'input_layernorm',
  attentionOutputNorm: 'post_attention_layernorm',
  feedForwardNorm: 'pre_feedforward_layernorm',
  feedForwardOutputNorm: 'post_feedforward_layernorm',
} as const;

const LLAMA: Modules = {
  embedding: 'embed_tokens',
  finalNorm: 'norm',
  head: 'lm_head',
  layers: 'layers',
  norms: { attentionNorm: 'input_layernorm', feedForwardNorm: 'post_attention_layernorm' },
  linears: { ...ATTENTION, ...GATED },
};
const STABLELM: Modules = {
  ...LLAMA,
  norms: {
    ...LLAMA.norms,
    queryNorm: 'self_attn.q_layernorm.norms.#',
    keyNorm: 'self_attn.k_layernorm.norms.#',
  },
};
const QWEN3: Modules = { ...LLAMA, norms: { ...LLAMA.norms, ...HEAD_NORMS } };
const PHI3: Modules = {
  ...LLAMA,
  linears: {
    queryKeyValue: 'self_attn.qkv_proj',
    output: ATTENTION.output,
    gateUp: 'mlp.gate_up_proj',
    down: GATED.down,
  },
};
const OLMO2: Modules = {
  ...LLAMA,
  norms: {
    ...HEAD_NORMS,
    attentionOutputNorm: 'post_attention_layernorm',
    feedForwardOutputNorm: 'post_feedforward_layernorm',
  },
};
const MIXTRAL: Modules = {
  ...LLAMA,
  linears: { ...ATTENTION, router: 'block_sparse_moe.gate' },
  expert: {
    gate: 'block_sparse_moe.experts.#.w1',
    up: 'block_sparse_moe.experts.#.w3',
    down: 'block_sparse_moe.experts.#.w2',
  },
};
/** The experts of a layer as two tensors. */
const STACKS: ExpertModules = { gateUp: 'mlp.experts.gate_up_proj[#]', down: 'mlp.experts.down_proj[#]' };
const QWEN3_MOE: Modules = {
  ...QWEN3,
  linears: { ...LLAMA.linears, router: 'mlp.gate' },
  expert: { gate: 'mlp.experts.#.gate_proj', up: 'mlp.experts.#.up_proj', down: 'mlp.experts.#.down_proj' },
};
const QWEN2_MOE: Modules = {
  ...QWEN3_MOE,
  norms: LLAMA.norms,
  linears: {
    ...QWEN3_MOE.linears,
    sharedGate: 'mlp.shared_expert.gate_proj',
    sharedUp: 'mlp.shared_expert.up_proj',
    sharedDown: 'mlp.shared_expert.down_proj',
  },
  sharedWeight: 'mlp.shared_expert_gate',
};
const GPT2: Modules = {
  embedding: 'wte',
  positions: 'wpe',
  finalNorm: 'ln_f',
  head: 'lm_head',
  layers: 'h',
  norms: { attentionNorm: 'ln_1', feedForwardNorm: 'ln_2' },
  linears: { queryKeyValue: 'attn.c_attn', output: 'attn.c_proj', up: 'mlp.c_fc', down: 'mlp.c_proj' },
};
const NEOX: Modules = {
  embedding: 'embed_in',
  finalNorm: 'final_layer_norm',
  head: 'embed_out',
  layers: 'layers',
  norms: LLAMA.norms,
  linears: {
    queryKeyValue: 'attention.query_key_value',
    output: 'attention.dense',
    up: 'mlp.dense_h_to_4h',
    down: 'mlp.dense_4h_to_h',
  },
};
const OPT: Modules = {
  embedding: 'embed_tokens',
  positions: 'embed_positions',
  projectIn: 'project_in',
  projectOut: 'project_out',
  finalNorm: 'final_layer_norm',
  head: 'lm_head',
  layers: 'layers',
  norms: { attentionNorm: 'self_attn_layer_norm', feedForwardNorm: 'final_layer_norm' },
  linears: { ...ATTENTION, output: 'self_attn.out_proj', up: 'fc1', down: 'fc2' },
};

const QWEN = { use_sliding_window: false, sliding_window: 4096, max_window_layers: 28 };
const GEMMA = { head_dim: 256, tie_word_embeddings: true, hidden_act: 'gelu_pytorch_tanh' };
const GEMMA2 = { ...GEMMA, query_pre_attn_scalar: 256, sliding_window: 4096 };
const GEMMA_TRAITS = { norm: 'rms', normOffset: 1, rootScale: true } as const;

export const ARCHITECTURES: readonly Architecture[] = [
  { name: 'LLaMA', types: ['llama'], modules: LLAMA, norm: 'rms' },
  {
    name: 'Mistral',
    types: ['mistral'],
    modules: LLAMA,
    norm: 'rms',
    slides: 'everywhere',
    defaults: { num_key_value_heads: 8, sliding_window: 4096 },
  },
  { name: 'Qwen 2', types: ['qwen2'], modules: LLAMA, norm: 'rms', slides: true, defaults: QWEN },
  { name: 'Qwen 3', types: ['qwen3'], modules: QWEN3, norm: 'rms', slides: true, defaults: { ...QWEN, head_dim: 128 } },
  // Its configurations call the tangent approximation by the name of the exact function.
  { name: 'Gemma', types: ['gemma'], modules: LLAMA, ...GEMMA_TRAITS, activation: 'geluTanh', defaults: GEMMA },
  {
    name: 'Gemma 2',
    types: ['gemma2'],
    modules: { ...LLAMA, norms: GEMMA2_NORMS },
    ...GEMMA_TRAITS,
    slides: true,
    capsScores: true,
    keys: { hidden_act: 'hidden_activation' },
    defaults: {
      ...GEMMA2,
      sliding_window_pattern: 2,
      attn_logit_softcapping: 50,
      final_logit_softcapping: 30,
    },
  },
  {
    name: 'Gemma 3',
    types: ['gemma3_text', 'gemma3'],
    modules: { ...LLAMA, norms: { ...GEMMA2_NORMS, ...HEAD_NORMS } },
    ...GEMMA_TRAITS,
    slides: true,
    keys: { hidden_act: 'hidden_activation' },
    defaults: {
      ...GEMMA2,
      num_attention_heads: 8,
      num_key_value_heads: 4,
      sliding_window_pattern: 6,
      rope_theta: 1_000_000,
      rope_local_base_freq: 10_000,
    },
  },
  {
    name: 'Phi-3',
    types: ['phi3'],
    modules: PHI3,
    norm: 'rms',
    slides: 'everywhere',
    defaults: { rms_norm_eps: 1e-5, original_max_position_embeddings: 4096 },
  },
  {
    name: 'SmolLM 3',
    types: ['smollm3'],
    modules: LLAMA,
    norm: 'rms',
    slides: true,
    defaults: {
      num_key_value_heads: 4,
      no_rope_layer_interval: 4,
      use_sliding_window: false,
      tie_word_embeddings: true,
      rope_theta: 2_000_000,
    },
  },
  { name: 'OLMo 2', types: ['olmo2'], modules: OLMO2, norm: 'rms', defaults: { rms_norm_eps: 1e-5 } },
  { name: 'Granite', types: ['granite'], modules: LLAMA, norm: 'rms', defaults: { attention_multiplier: 1 } },
  {
    name: 'StableLM',
    types: ['stablelm'],
    modules: STABLELM,
    norm: 'layer',
    defaults: { layer_norm_eps: 1e-5, partial_rotary_factor: 0.25 },
  },
  {
    name: 'GPT-2',
    types: ['gpt2'],
    modules: GPT2,
    norm: 'layer',
    withoutRope: true,
    keys: {
      hidden_size: 'n_embd',
      num_hidden_layers: 'n_layer',
      num_attention_heads: 'n_head',
      intermediate_size: 'n_inner',
      max_position_embeddings: 'n_positions',
      hidden_act: 'activation_function',
      layer_norm_eps: 'layer_norm_epsilon',
    },
    defaults: {
      hidden_size: 768,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      max_position_embeddings: 1024,
      hidden_act: 'gelu_new',
      layer_norm_eps: 1e-5,
      tie_word_embeddings: true,
    },
  },
  {
    name: 'GPT-NeoX',
    types: ['gpt_neox'],
    modules: NEOX,
    norm: 'layer',
    fusedByHead: true,
    keys: { partial_rotary_factor: 'rotary_pct', rope_theta: 'rotary_emb_base' },
    defaults: {
      hidden_act: 'gelu',
      layer_norm_eps: 1e-5,
      partial_rotary_factor: 0.25,
      use_parallel_residual: true,
      tie_word_embeddings: false,
    },
  },
  {
    name: 'OPT',
    types: ['opt'],
    modules: OPT,
    norm: 'layer',
    withoutRope: true,
    positionOffset: 2,
    keys: { intermediate_size: 'ffn_dim', hidden_act: 'activation_function' },
    defaults: { hidden_act: 'relu', layer_norm_eps: 1e-5, tie_word_embeddings: true },
  },
  {
    name: 'Mixtral',
    types: ['mixtral'],
    modules: MIXTRAL,
    stacked: { ...MIXTRAL, linears: { ...ATTENTION, router: 'mlp.gate' }, expert: STACKS },
    norm: 'rms',
    slides: 'everywhere',
    keys: { num_experts: 'num_local_experts' },
    defaults: {
      num_key_value_heads: 8,
      rms_norm_eps: 1e-5,
      rope_theta: 1_000_000,
      num_experts: 8,
      num_experts_per_tok: 2,
      norm_topk_prob: true,
    },
  },
  {
    name: 'Qwen 2 MoE',
    types: ['qwen2_moe'],
    modules: QWEN2_MOE,
    stacked: { ...QWEN2_MOE, expert: STACKS },
    norm: 'rms',
    slides: true,
    defaults: { ...QWEN, num_experts: 60, num_experts_per_tok: 4 },
  },
  {
    name: 'Qwen 3 MoE',
    types: ['qwen3_moe'],
    modules: QWEN3_MOE,
    stacked: { ...QWEN3_MOE, expert: STACKS },
    norm: 'rms',
    slides: 'everywhere',
    keys: { num_experts: 'num_local_experts' },
    defaults: { use_sliding_window: false, num_key_value_heads: 4, num_experts: 128, num_experts_per_tok: 8 },
  },
];
