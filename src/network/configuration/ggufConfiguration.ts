import type { JsonObject } from '../../bytes/boundedJson.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { valuesOf } from '../../checkpoint/tensor.ts';

/** Keys of transformers' configurations by those of GGUF's metadata (gguf-py, constants.py). */
const KEYS: Readonly<Record<string, string>> = {
  block_count: 'num_hidden_layers',
  embedding_length: 'hidden_size',
  feed_forward_length: 'intermediate_size',
  context_length: 'max_position_embeddings',
  'attention.head_count': 'num_attention_heads',
  'attention.head_count_kv': 'num_key_value_heads',
  'attention.layer_norm_rms_epsilon': 'rms_norm_eps',
  'attention.layer_norm_epsilon': 'layer_norm_eps',
  'attention.sliding_window': 'sliding_window',
  'attention.scale': 'attention_multiplier',
  attn_logit_softcapping: 'attn_logit_softcapping',
  final_logit_softcapping: 'final_logit_softcapping',
  logit_scale: 'logits_scaling',
  embedding_scale: 'embedding_multiplier',
  residual_scale: 'residual_multiplier',
  'rope.freq_base': 'rope_theta',
  'rope.freq_base_swa': 'rope_local_base_freq',
  expert_count: 'num_experts',
  expert_used_count: 'num_experts_per_tok',
  expert_feed_forward_length: 'moe_intermediate_size',
  expert_shared_feed_forward_length: 'shared_expert_intermediate_size',
};

/** llama.cpp's architectures under transformers' names, where they differ. */
const TYPES: Readonly<Record<string, string>> = {
  gptneox: 'gpt_neox',
  gemma3: 'gemma3_text',
  qwen2moe: 'qwen2_moe',
  qwen3moe: 'qwen3_moe',
};

/**
 * What transformers' config.json would say of a GGUF file; undefined for files without its metadata. A file that was
 * made from a GGUF file carries them too. Reads the tensors that hold frequencies of rotary positions.
 */
export async function ggufConfiguration(
  checkpoint: Checkpoint,
  signal: AbortSignal | undefined,
): Promise<JsonObject | undefined> {
  const { metadata, tensors } = checkpoint;
  const architecture = metadata.get('general.architecture');
  if (architecture === undefined) return undefined;
  const text = (key: string) => metadata.get(`${architecture}.${key}`);
  const numbers = Object.entries(KEYS).flatMap(([key, own]) => {
    const value = Number(text(key) ?? Number.NaN);
    return Number.isFinite(value) ? [[own, value] as const] : [];
  });
  const known: Readonly<Record<string, number>> = Object.fromEntries(numbers);
  const heads = known.num_attention_heads ?? 1;
  const headSize = Number(text('attention.key_length') ?? (known.hidden_size ?? 0) / heads);
  const isMixture = architecture === 'llama' && known.num_experts !== undefined;
  const values = async (name: string) => {
    const tensor = tensors.find((candidate) => candidate.name === `${name}.weight`);
    return tensor && [...(await valuesOf(tensor, signal))];
  };
  return {
    ...known,
    model_type: isMixture ? 'mixtral' : (TYPES[architecture] ?? architecture),
    head_dim: headSize,
    tie_word_embeddings: !tensors.some(({ name }) => name === 'output.weight' || name.startsWith('lm_head.')),
    rope_scaling: await scalingOf(text, values),
    ...(text('use_parallel_residual') !== undefined && {
      use_parallel_residual: text('use_parallel_residual') === 'true',
    }),
    ...(text('rope.dimension_count') !== undefined && {
      partial_rotary_factor: Number(text('rope.dimension_count')) / headSize,
    }),
    // Of a mixture that llama.cpp's code always normalizes.
    ...(architecture === 'qwen3moe' && { norm_topk_prob: true }),
    ...gemmaScale(architecture, known, headSize),
  };
}

/** The scores of the 27B models have another scale than others, which llama.cpp knows by their numbers of layers. */
function gemmaScale(architecture: string, known: Readonly<Record<string, number>>, headSize: number): JsonObject {
  if (!architecture.startsWith('gemma')) return {};
  const [layers, width = 0, heads = 1] = [known.num_hidden_layers, known.hidden_size, known.num_attention_heads];
  const isLargest = (architecture === 'gemma2' && layers === 46) || (architecture === 'gemma3' && layers === 62);
  return { query_pre_attn_scalar: isLargest ? width / heads : headSize };
}

async function scalingOf(
  text: (key: string) => string | undefined,
  values: (name: string) => Promise<number[] | undefined>,
): Promise<JsonObject | null> {
  const original = text('rope.scaling.original_context_length');
  const common = original === undefined ? {} : { original_max_position_embeddings: Number(original) };
  const magnitude = Number(text('rope.scaling.attn_factor') ?? 1);
  // Llama 3's scaling is stored as divisors of the frequencies, at any length.
  const divisors = await values('rope_freqs');
  const [short, long] = [await values('rope_factors_short'), await values('rope_factors_long')];
  if (divisors ?? (short && long)) {
    const factors = { short_factor: divisors ?? short, long_factor: divisors ?? long };
    return { ...common, rope_type: 'longrope', ...factors, attention_factor: magnitude };
  }
  const type = text('rope.scaling.type');
  if (type === undefined || type === 'none') return null;
  return { ...common, rope_type: type, factor: Number(text('rope.scaling.factor') ?? 1) };
}
