import { EXPERT_FAMILIES } from './expertFamilies.ts';
import { type Family, LLAMA_BLOCK, LLAMA_OUTER } from './family.ts';

const BERT_BLOCK = {
  'attention.self.query': 'query',
  'attention.self.key': 'key',
  'attention.self.value': 'value',
  'attention.output.dense': 'output',
  'intermediate.dense': 'up',
  'output.dense': 'down',
} as const;

const T5_BLOCK = {
  'layer.#.SelfAttention.q': 'query',
  'layer.#.SelfAttention.k': 'key',
  'layer.#.SelfAttention.v': 'value',
  'layer.#.SelfAttention.o': 'output',
  'layer.#.SelfAttention.relative_attention_bias': 'position',
  'layer.#.EncDecAttention.q': 'query',
  'layer.#.EncDecAttention.k': 'key',
  'layer.#.EncDecAttention.v': 'value',
  'layer.#.EncDecAttention.o': 'output',
  'layer.#.DenseReluDense.wi': 'up',
  'layer.#.DenseReluDense.wi_0': 'gate',
  'layer.#.DenseReluDense.wi_1': 'up',
  'layer.#.DenseReluDense.wo': 'down',
} as const;

const FAIRSEQ_BLOCK = {
  'self_attn.q_proj': 'query',
  'self_attn.k_proj': 'key',
  'self_attn.v_proj': 'value',
  'self_attn.out_proj': 'output',
  'encoder_attn.q_proj': 'query',
  'encoder_attn.k_proj': 'key',
  'encoder_attn.v_proj': 'value',
  'encoder_attn.out_proj': 'output',
  fc1: 'up',
  fc2: 'down',
} as const;

const CLIP_BLOCK = { ...FAIRSEQ_BLOCK, fc1: 'other', fc2: 'other', 'mlp.fc1': 'up', 'mlp.fc2': 'down' } as const;

/**
 * If two families explain a checkpoint equally well, the first wins: Gemma 3 has the norms that mark Qwen, so Gemma
 * comes first.
 */
export const FAMILIES: readonly Family[] = [
  { name: 'LLaMA', paths: { 'layers.#': LLAMA_BLOCK, '': LLAMA_OUTER } },
  {
    name: 'Gemma',
    paths: { 'layers.#': LLAMA_BLOCK, '': LLAMA_OUTER },
    marks: ['layers.#.pre_feedforward_layernorm'],
  },
  {
    name: 'Qwen',
    paths: { 'layers.#': LLAMA_BLOCK, '': LLAMA_OUTER },
    marks: ['layers.#.self_attn.q_proj.bias', 'layers.#.self_attn.q_norm'],
  },
  ...EXPERT_FAMILIES,
  {
    name: 'Phi-3',
    paths: {
      'layers.#': {
        'self_attn.qkv_proj': 'qkv',
        'self_attn.o_proj': 'output',
        'mlp.gate_up_proj': 'gateUp',
        'mlp.down_proj': 'down',
      },
      '': LLAMA_OUTER,
    },
  },
  {
    name: 'Phi',
    paths: {
      'layers.#': {
        'self_attn.q_proj': 'query',
        'self_attn.k_proj': 'key',
        'self_attn.v_proj': 'value',
        'self_attn.dense': 'output',
        'mlp.fc1': 'up',
        'mlp.fc2': 'down',
      },
      '': LLAMA_OUTER,
    },
    marks: ['layers.#.self_attn.dense'],
  },
  {
    // The names of Meta's own release and of llama2.c.
    name: 'LLaMA (Meta)',
    paths: {
      'layers.#': {
        'attention.wq': 'query',
        'attention.wk': 'key',
        'attention.wv': 'value',
        'attention.wo': 'output',
        'feed_forward.w1': 'gate',
        'feed_forward.w2': 'down',
        'feed_forward.w3': 'up',
      },
      '': { tok_embeddings: 'embedding', output: 'head' },
    },
  },
  {
    name: 'GGUF',
    paths: {
      'blk.#': {
        attn_q: 'query',
        attn_k: 'key',
        attn_v: 'value',
        attn_qkv: 'qkv',
        attn_output: 'output',
        ffn_gate: 'gate',
        ffn_up: 'up',
        ffn_down: 'down',
        ffn_gate_inp: 'router',
        ffn_gate_exps: 'gate',
        ffn_up_exps: 'up',
        ffn_down_exps: 'down',
      },
      '': { token_embd: 'embedding', output: 'head', position_embd: 'position' },
    },
  },
  {
    name: 'GPT-2',
    paths: {
      'h.#': {
        'attn.c_attn': 'qkv',
        'attn.c_proj': 'output',
        'mlp.c_fc': 'up',
        'mlp.c_proj': 'down',
      },
      '': { wte: 'embedding', wpe: 'position', lm_head: 'head' },
    },
    transposed: {
      modules: ['attn.c_attn', 'attn.c_proj', 'mlp.c_fc', 'mlp.c_proj'],
      witnesses: ['attn.c_attn', 'mlp.c_fc'],
    },
    skip: {
      'attn.bias': 'a causal mask, not a weight',
      'attn.masked_bias': 'a masking constant, not a weight',
    },
  },
  {
    name: 'GPT-NeoX',
    paths: {
      'layers.#': {
        'attention.query_key_value': 'qkv',
        'attention.dense': 'output',
        'mlp.dense_h_to_4h': 'up',
        'mlp.dense_4h_to_h': 'down',
      },
      '': { embed_in: 'embedding', embed_out: 'head' },
    },
    skip: {
      'attention.bias': 'a causal mask, not a weight',
      'attention.masked_bias': 'a masking constant, not a weight',
    },
  },
  {
    name: 'BLOOM / Falcon',
    paths: {
      'h.#': {
        'self_attention.query_key_value': 'qkv',
        'self_attention.dense': 'output',
        'mlp.dense_h_to_4h': 'up',
        'mlp.dense_4h_to_h': 'down',
      },
      '': { word_embeddings: 'embedding', lm_head: 'head' },
    },
  },
  {
    name: 'BERT',
    paths: {
      'encoder.layer.#': BERT_BLOCK,
      '': {
        'embeddings.word_embeddings': 'embedding',
        'embeddings.position_embeddings': 'position',
        'embeddings.token_type_embeddings': 'embedding',
        'pooler.dense': 'other',
        'cls.predictions.decoder': 'head',
        classifier: 'head',
      },
    },
  },
  {
    name: 'DistilBERT',
    paths: {
      'layer.#': {
        'attention.q_lin': 'query',
        'attention.k_lin': 'key',
        'attention.v_lin': 'value',
        'attention.out_lin': 'output',
        'ffn.lin1': 'up',
        'ffn.lin2': 'down',
      },
      '': { 'embeddings.word_embeddings': 'embedding', 'embeddings.position_embeddings': 'position' },
    },
  },
  {
    name: 'T5',
    paths: {
      'encoder.block.#': T5_BLOCK,
      'decoder.block.#': T5_BLOCK,
      '': { shared: 'embedding', 'encoder.embed_tokens': 'embedding', 'decoder.embed_tokens': 'embedding' },
    },
    collapse: ['layer'],
  },
  {
    name: 'OPT',
    paths: {
      'decoder.layers.#': FAIRSEQ_BLOCK,
      '': { 'decoder.embed_tokens': 'embedding', 'decoder.embed_positions': 'position', lm_head: 'head' },
    },
  },
  {
    name: 'BART',
    paths: {
      'encoder.layers.#': FAIRSEQ_BLOCK,
      'decoder.layers.#': FAIRSEQ_BLOCK,
      '': { shared: 'embedding', 'encoder.embed_positions': 'position', 'decoder.embed_positions': 'position' },
    },
    marks: ['decoder.layers.#.encoder_attn.q_proj'],
  },
  {
    name: 'CLIP',
    paths: {
      'text_model.encoder.layers.#': CLIP_BLOCK,
      'vision_model.encoder.layers.#': CLIP_BLOCK,
      '': {
        'text_model.embeddings.token_embedding': 'embedding',
        'text_model.embeddings.position_embedding': 'position',
        'vision_model.embeddings.patch_embedding': 'stem',
        'vision_model.embeddings.position_embedding': 'position',
      },
    },
  },
  {
    name: 'ViT',
    paths: {
      'encoder.layer.#': {
        'attention.attention.query': 'query',
        'attention.attention.key': 'key',
        'attention.attention.value': 'value',
        'attention.output.dense': 'output',
        'intermediate.dense': 'up',
        'output.dense': 'down',
      },
      '': {
        'embeddings.patch_embeddings.projection': 'stem',
        'embeddings.position_embeddings': 'position',
        classifier: 'head',
      },
    },
    marks: ['encoder.layer.#.attention.attention.query'],
  },
  {
    name: 'ViT (timm)',
    paths: {
      'blocks.#': { 'attn.qkv': 'qkv', 'attn.proj': 'output', 'mlp.fc1': 'up', 'mlp.fc2': 'down' },
      '': { 'patch_embed.proj': 'stem', pos_embed: 'position', head: 'head' },
    },
  },
  {
    name: 'RWKV',
    paths: {
      'blocks.#': {
        'att.receptance': 'query',
        'att.key': 'key',
        'att.value': 'value',
        'att.output': 'output',
        'att.gate': 'gate',
        'ffn.key': 'up',
        'ffn.receptance': 'gate',
        'ffn.value': 'down',
      },
      '': { emb: 'embedding', head: 'head' },
    },
  },
];
