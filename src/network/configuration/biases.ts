import type { BlockLinear } from './architectures.ts';
import type { Settings } from './settings.ts';

const QUERY_KEY_VALUE: readonly BlockLinear[] = ['query', 'key', 'value'];
const ATTENTION: readonly BlockLinear[] = [...QUERY_KEY_VALUE, 'output'];
const FEED_FORWARD: readonly BlockLinear[] = ['gate', 'up', 'down'];

/** The keys by which transformers' classes decide about biases, by architecture; others leave it to the class. */
const KEYS: Readonly<Record<string, Readonly<Record<string, readonly BlockLinear[]>>>> = {
  LLaMA: { attention_bias: ATTENTION, mlp_bias: FEED_FORWARD },
  'Qwen 3': { attention_bias: ATTENTION },
  Gemma: { attention_bias: ATTENTION },
  'Gemma 2': { attention_bias: ATTENTION },
  'Gemma 3': { attention_bias: ATTENTION },
  'SmolLM 3': { attention_bias: ATTENTION, mlp_bias: FEED_FORWARD },
  'OLMo 2': { attention_bias: ATTENTION },
  Granite: { attention_bias: ATTENTION, mlp_bias: FEED_FORWARD },
  StableLM: { use_qkv_bias: QUERY_KEY_VALUE },
  'GPT-NeoX': { attention_bias: ['queryKeyValue', 'output'] },
  OPT: { enable_bias: [...ATTENTION, 'up', 'down'] },
  'Qwen 2 MoE': { qkv_bias: QUERY_KEY_VALUE },
  'Qwen 3 MoE': { attention_bias: ATTENTION },
};

/** The linear layers of a block of which the configuration says that they have no bias, and the key that says so. */
export function unbiasedLinears(settings: Settings, architecture: string): ReadonlyMap<BlockLinear, string> {
  const denied = Object.entries(KEYS[architecture] ?? {}).filter(([key]) => !settings.flag(key, true));
  return new Map(denied.flatMap(([key, linears]) => linears.map((linear) => [linear, key] as const)));
}
