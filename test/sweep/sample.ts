/**
 * One architecture, or a few, for each way in which model code differs from stacks of `nn.Linear`: layers with a
 * forward of their own, names that change on loading, experts in lists and in stacks, tied and encoder-decoder
 * embeddings, convolutions, Conv1D, state spaces, several towers.
 */
export const SAMPLE = [
  'bart',
  'bert',
  'bigbird_pegasus',
  'clip',
  'clvp',
  'convnext',
  'deepseek_v3',
  'gemma2',
  'gemma3_text',
  'gemma3n_text',
  'gpt2',
  'gpt_neox',
  'gpt_oss',
  'granitemoe',
  'llama',
  'llama4_text',
  'llava',
  'mamba',
  'mixtral',
  'mllama',
  'mobilenet_v2',
  'opt',
  'pegasus',
  'qwen2_moe',
  'qwen2_vl',
  'qwen3_moe',
  't5',
  'vit',
  'wav2vec2',
  'whisper',
] as const;
