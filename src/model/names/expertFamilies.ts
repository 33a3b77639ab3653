import { type Family, LLAMA_BLOCK, LLAMA_OUTER } from './family.ts';

const EXPERTS = {
  'mlp.gate': 'router',
  'mlp.experts.#.gate_proj': 'gate',
  'mlp.experts.#.up_proj': 'up',
  'mlp.experts.#.down_proj': 'down',
  'mlp.experts.gate_up_proj': 'gateUp',
  'mlp.experts.down_proj': 'down',
} as const;

const SHARED_EXPERTS = {
  'mlp.shared_experts.gate_proj': 'gate',
  'mlp.shared_experts.up_proj': 'up',
  'mlp.shared_experts.down_proj': 'down',
} as const;

/** Families of mixtures of experts. */
export const EXPERT_FAMILIES: readonly Family[] = [
  {
    name: 'Mixtral',
    paths: {
      'layers.#': {
        ...LLAMA_BLOCK,
        'block_sparse_moe.gate': 'router',
        'block_sparse_moe.experts.#.w1': 'gate',
        'block_sparse_moe.experts.#.w2': 'down',
        'block_sparse_moe.experts.#.w3': 'up',
      },
      '': LLAMA_OUTER,
    },
    marks: ['layers.#.block_sparse_moe.gate'],
  },
  {
    name: 'Qwen MoE',
    paths: {
      'layers.#': {
        ...LLAMA_BLOCK,
        ...EXPERTS,
        'mlp.shared_expert_gate': 'router',
        'mlp.shared_expert.gate_proj': 'gate',
        'mlp.shared_expert.up_proj': 'up',
        'mlp.shared_expert.down_proj': 'down',
      },
      '': LLAMA_OUTER,
    },
    marks: ['layers.#.mlp.shared_expert_gate', 'layers.#.self_attn.q_norm'],
  },
  {
    name: 'DeepSeek',
    paths: {
      'layers.#': {
        ...LLAMA_BLOCK,
        ...EXPERTS,
        ...SHARED_EXPERTS,
        'self_attn.q_a_proj': 'query',
        'self_attn.q_b_proj': 'query',
        'self_attn.kv_a_proj_with_mqa': 'other',
        'self_attn.kv_b_proj': 'other',
        // The names of DeepSeek's own releases.
        'attn.wq': 'query',
        'attn.wq_a': 'query',
        'attn.wq_b': 'query',
        'attn.wkv_a': 'other',
        'attn.wkv_b': 'other',
        'attn.wkv': 'other',
        'attn.wo': 'output',
        'attn.wo_a': 'output',
        'attn.wo_b': 'output',
        'ffn.gate': 'router',
        'ffn.experts.#.w1': 'gate',
        'ffn.experts.#.w2': 'down',
        'ffn.experts.#.w3': 'up',
        'ffn.shared_experts.w1': 'gate',
        'ffn.shared_experts.w2': 'down',
        'ffn.shared_experts.w3': 'up',
      },
      '': { ...LLAMA_OUTER, embed: 'embedding', head: 'head' },
    },
    marks: ['layers.#.self_attn.kv_a_proj_with_mqa', 'layers.#.attn.wkv_a', 'layers.#.attn.wkv', 'layers.#.attn.wq_a'],
  },
  {
    name: 'gpt-oss',
    paths: {
      'layers.#': { ...LLAMA_BLOCK, ...EXPERTS, 'mlp.router': 'router' },
      // The names of OpenAI's own release.
      'block.#': {
        'attn.qkv': 'qkv',
        'attn.out': 'output',
        'mlp.gate': 'router',
        'mlp.mlp1_weight': 'gateUp',
        'mlp.mlp2_weight': 'down',
      },
      '': { ...LLAMA_OUTER, embedding: 'embedding', unembedding: 'head' },
    },
    marks: [
      'layers.#.self_attn.sinks',
      'layers.#.mlp.experts.gate_up_proj_bias',
      'block.#.attn.sinks',
      'block.#.mlp.mlp1_weight',
      'block.#.mlp.mlp1_bias',
    ],
  },
  {
    // What many share whose names say no more: GLM, OLMoE, dots.
    name: 'LLaMA with experts',
    paths: {
      'layers.#': { ...LLAMA_BLOCK, ...EXPERTS, ...SHARED_EXPERTS, 'mlp.router': 'router' },
      '': LLAMA_OUTER,
    },
    marks: ['layers.#.mlp.gate', 'layers.#.mlp.router', 'layers.#.mlp.experts.gate_up_proj'],
  },
  {
    name: 'Llama 4',
    paths: {
      'layers.#': {
        ...LLAMA_BLOCK,
        'feed_forward.gate_proj': 'gate',
        'feed_forward.up_proj': 'up',
        'feed_forward.down_proj': 'down',
        'feed_forward.router': 'router',
        'feed_forward.experts.gate_up_proj': 'gateUp',
        'feed_forward.experts.down_proj': 'down',
        'feed_forward.shared_expert.gate_proj': 'gate',
        'feed_forward.shared_expert.up_proj': 'up',
        'feed_forward.shared_expert.down_proj': 'down',
      },
      '': LLAMA_OUTER,
    },
    transposed: { modules: ['feed_forward.experts.gate_up_proj', 'feed_forward.experts.down_proj'] },
  },
];
