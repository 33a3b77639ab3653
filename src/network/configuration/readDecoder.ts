import { RankscopeError } from '../../base/errors.ts';
import { isObject, type JsonObject } from '../../bytes/boundedJson.ts';
import { MAX_LAYERS } from '../../bytes/limits.ts';
import { ARCHITECTURES, type Architecture } from './architectures.ts';
import { unbiasedLinears } from './biases.ts';
import type { Activation, AttentionSettings, Decoder, FeedForwardSettings } from './decoder.ts';
import { readRope } from './rope.ts';
import { Settings } from './settings.ts';

/** Names of activation functions in transformers. */
const ACTIVATION_NAMES: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'geluTanh',
  gelu_fast: 'geluTanh',
  gelu_accurate: 'geluTanh',
  gelu_pytorch_tanh: 'geluTanh',
  quick_gelu: 'quickGelu',
  relu: 'relu',
  relu2: 'squaredRelu',
};

/** What some models of known architectures have, and nothing here computes. */
const UNKNOWN = ['use_bidirectional_attention', 'add_cross_attention'];

export interface KnownDecoder {
  readonly decoder: Decoder;
  readonly architecture: Architecture;
}

/**
 * The decoder that a configuration in the form of transformers' config.json describes.
 * @param subject the checkpoint, for errors
 * @throws RankscopeError 'unsupported' for an architecture that is not known, 'malformed' for wrong or missing values
 */
export function readDecoder(configuration: JsonObject, subject: string): KnownDecoder {
  // Models of several towers nest the language model's configuration.
  const nested = configuration.text_config;
  const own = isObject(nested) ? { ...configuration, ...nested } : configuration;
  const architecture = architectureOf(own, subject);
  const settings = new Settings(subject, withDefaults(own, architecture));
  for (const key of UNKNOWN) if (settings.flag(key)) settings.refuse(key, 'false, which alone is computed');
  const { modules, norm, normOffset = 0 } = architecture;
  const normsEachHead = settings.flag('qk_layernorm');
  if (normsEachHead && !modules.norms.queryNorm?.includes('#'))
    settings.refuse('qk_layernorm', 'false, which alone is computed');
  const layers = settings.count('num_hidden_layers');
  if (layers > MAX_LAYERS) settings.refuse('num_hidden_layers', `at most ${MAX_LAYERS}`);
  const width = settings.count('hidden_size');
  const normsAfterSum = !settings.flag('do_layer_norm_before', true);
  const decoder: Decoder = {
    architecture: architecture.name,
    width,
    context: settings.count('max_position_embeddings'),
    embeddingWidth: settings.count('word_embed_proj_dim', width),
    embeddingScale: architecture.rootScale ? Math.fround(Math.sqrt(width)) : settings.number('embedding_multiplier', 1),
    positionOffset: modules.positions === undefined ? null : (architecture.positionOffset ?? 0),
    norm: {
      kind: norm,
      epsilon: settings.size(norm === 'rms' ? 'rms_norm_eps' : 'layer_norm_eps'),
      offset: normOffset,
    },
    normsAfterSum,
    normsEachHead,
    hasFinalNorm: !normsAfterSum && !settings.flag('_remove_final_layer_norm'),
    parallel: settings.flag('use_parallel_residual'),
    residualScale: settings.number('residual_multiplier', 1),
    layers: Array.from({ length: layers }, (_, layer) => ({
      attention: attentionOf(settings, architecture, layer),
      feedForward: feedForwardOf(settings, architecture, layer),
    })),
    unbiased: unbiasedLinears(settings, architecture.name),
    vocabulary: settings.has('vocab_size') ? settings.count('vocab_size') : null,
    head: {
      scale: settings.number('logit_scale', 1) / settings.number('logits_scaling', 1),
      softCap: settings.has('final_logit_softcapping') ? settings.number('final_logit_softcapping') : null,
      tied: settings.has('tie_word_embeddings') ? settings.flag('tie_word_embeddings') : null,
    },
  };
  return { decoder, architecture };
}

function architectureOf(configuration: JsonObject, subject: string): Architecture {
  const type = configuration.model_type;
  const known = ARCHITECTURES.find(({ types }) => types.includes(String(type)));
  if (known) return known;
  const found =
    type === undefined
      ? 'its configuration names no model_type'
      : `the architecture ${JSON.stringify(type)} is unknown`;
  throw new RankscopeError(
    'unsupported',
    subject,
    found,
    `Known are ${ARCHITECTURES.map(({ name }) => name).join(', ')}. transformers runs any other: ` +
      'rankscope evaluate and calibrate write a script for it with --python, as "Measure Perplexity with Python" does in the editor',
  );
}

/** The configuration under the keys of LLaMA's, and what transformers assumes for absent ones. */
function withDefaults(configuration: JsonObject, { keys = {}, defaults = {} }: Architecture): JsonObject {
  const renamed = Object.entries(keys).flatMap(([key, other]) =>
    (configuration[other] ?? null) !== null ? [[key, configuration[other]] as const] : [],
  );
  return { ...LLAMA_DEFAULTS, ...defaults, ...configuration, ...Object.fromEntries(renamed) };
}

const LLAMA_DEFAULTS = { rms_norm_eps: 1e-6, rope_theta: 10_000, hidden_act: 'silu', max_position_embeddings: 2048 };

function attentionOf(settings: Settings, architecture: Architecture, layer: number): AttentionSettings {
  const heads = settings.count('num_attention_heads');
  const keyHeads = settings.count('num_key_value_heads', heads);
  if (heads % keyHeads !== 0) settings.refuse('num_key_value_heads', `a divisor of ${heads} attention heads`);
  const headSize = settings.count('head_dim', settings.count('hidden_size') / heads);
  const window = architecture.slides ? windowOf(settings, architecture, layer) : null;
  const context = settings.count('max_position_embeddings');
  return {
    heads,
    keyHeads,
    headSize,
    scale: scaleOf(settings, headSize, layer),
    softCap:
      architecture.capsScores && settings.has('attn_logit_softcapping')
        ? settings.number('attn_logit_softcapping')
        : null,
    window,
    rope: hasRope(settings, architecture, layer) ? readRope(settings, window !== null, { headSize, context }) : null,
  };
}

function scaleOf(settings: Settings, headSize: number, layer: number): number {
  if (settings.has('attention_multiplier')) return settings.number('attention_multiplier');
  const root = settings.flag('scale_attn_weights', true) ? settings.number('query_pre_attn_scalar', headSize) : 1;
  return 1 / Math.sqrt(root) / (settings.flag('scale_attn_by_inverse_layer_idx') ? layer + 1 : 1);
}

/**
 * The window of a layer: unless all have it, which layers do is said by `layer_types`, or in older configurations by a
 * pattern of which each last layer sees everything, by the first layer that has one, or by none of these: then all do.
 */
function windowOf(settings: Settings, { slides }: Architecture, layer: number): number | null {
  if (!settings.has('sliding_window') || !settings.flag('use_sliding_window', true)) return null;
  const window = () => settings.count('sliding_window');
  if (slides === 'everywhere') return window();
  if (settings.has('layer_types')) {
    const type = settings.ofLayer('layer_types', layer);
    if (type === 'sliding_attention') return window();
    return type === 'full_attention'
      ? null
      : settings.refuse('layer_types', `known: ${String(type)} in layer ${layer}`);
  }
  if (settings.has('sliding_window_pattern'))
    return (layer + 1) % settings.count('sliding_window_pattern') === 0 ? null : window();
  return layer < settings.number('max_window_layers', 0) ? null : window();
}

/** SmolLM 3 leaves out rotary positions in some layers. */
function hasRope(settings: Settings, { withoutRope }: Architecture, layer: number): boolean {
  if (withoutRope) return false;
  if (settings.has('no_rope_layers')) return settings.ofLayer('no_rope_layers', layer) !== 0;
  return !settings.has('no_rope_layer_interval') || (layer + 1) % settings.count('no_rope_layer_interval') !== 0;
}

function feedForwardOf(settings: Settings, architecture: Architecture, layer: number): FeedForwardSettings {
  const name = settings.text('hidden_act');
  const activation =
    architecture.activation ?? (Object.hasOwn(ACTIVATION_NAMES, name) ? ACTIVATION_NAMES[name] : undefined);
  if (!activation) return settings.refuse('hidden_act', 'an activation function that is known');
  const size = (...keys: string[]) => {
    const key = keys.find((candidate) => settings.has(candidate));
    return key === undefined ? null : settings.count(key);
  };
  if (!hasExperts(settings, layer)) return { activation, inner: size('intermediate_size'), experts: null };
  const inner = size('moe_intermediate_size', 'intermediate_size');
  return {
    activation,
    inner,
    experts: { ...expertsOf(settings), sharedInner: size('shared_expert_intermediate_size') },
  };
}

/** Mixtures stand in every `decoder_sparse_step`-th layer, apart from those that are listed as plain. */
function hasExperts(settings: Settings, layer: number): boolean {
  if (!settings.has('num_experts')) return false;
  const plain = settings.has('mlp_only_layers') ? settings.numbers('mlp_only_layers') : [];
  return !plain.includes(layer) && (layer + 1) % settings.count('decoder_sparse_step', 1) === 0;
}

function expertsOf(settings: Settings) {
  const count = settings.count('num_experts');
  const used = settings.count('num_experts_per_tok');
  if (used > count) settings.refuse('num_experts_per_tok', `at most the ${count} experts`);
  return { count, used, normalized: settings.flag('norm_topk_prob') };
}
