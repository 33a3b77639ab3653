import type { LoraModel, LoraModule } from './count.ts';

/** The sizes in a configuration of transformers that decide what an adapter costs. */
interface Sizes {
  readonly hidden: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly groups: number;
  /** Of one head; hidden / heads by default. */
  readonly head?: number;
  readonly parameters: number;
  /** `split`: q, k, v, o, gate, up, down. `phi3`: qkv_proj and gate_up_proj. `gpt2`: c_attn and no gate. */
  readonly kind?: 'phi3' | 'gpt2' | 'bert';
}

/**
 * By the names of their repositories. Sizes are those of the published configurations; parameters are those of the
 * checkpoint, with tied tensors counted once.
 */
const USUAL: Readonly<Record<string, Sizes>> = {
  gpt2: { hidden: 768, inner: 3072, layers: 12, heads: 12, groups: 12, parameters: 124_439_808, kind: 'gpt2' },
  'bert-base-uncased': {
    hidden: 768,
    inner: 3072,
    layers: 12,
    heads: 12,
    groups: 12,
    parameters: 109_482_240,
    kind: 'bert',
  },
  'SmolLM2-135M': { hidden: 576, inner: 1536, layers: 30, heads: 9, groups: 3, parameters: 134_515_008 },
  'Qwen2.5-0.5B': { hidden: 896, inner: 4864, layers: 24, heads: 14, groups: 2, parameters: 494_032_768 },
  'TinyLlama-1.1B': { hidden: 2048, inner: 5632, layers: 22, heads: 32, groups: 4, parameters: 1_100_048_384 },
  'Llama-3.2-1B': { hidden: 2048, inner: 8192, layers: 16, heads: 32, groups: 8, parameters: 1_235_814_400 },
  'Phi-3-mini': {
    hidden: 3072,
    inner: 8192,
    layers: 32,
    heads: 32,
    groups: 32,
    parameters: 3_821_079_552,
    kind: 'phi3',
  },
  'Llama-2-7b': { hidden: 4096, inner: 11_008, layers: 32, heads: 32, groups: 32, parameters: 6_738_415_616 },
  'Mistral-7B': { hidden: 4096, inner: 14_336, layers: 32, heads: 32, groups: 8, parameters: 7_241_732_096 },
  'Qwen2.5-7B': { hidden: 3584, inner: 18_944, layers: 28, heads: 28, groups: 4, parameters: 7_615_616_512 },
  'Llama-3.1-8B': { hidden: 4096, inner: 14_336, layers: 32, heads: 32, groups: 8, parameters: 8_030_261_248 },
  'Gemma-2-9b': { hidden: 3584, inner: 14_336, layers: 42, heads: 16, groups: 8, head: 256, parameters: 9_241_705_984 },
  'Llama-3.1-70B': { hidden: 8192, inner: 28_672, layers: 80, heads: 64, groups: 8, parameters: 70_553_706_496 },
};

export const USUAL_MODELS: readonly string[] = Object.keys(USUAL);

/** A usual model by its name, upper or lower case; undefined for any other. */
export function usualModel(name: string): LoraModel | undefined {
  const found = Object.entries(USUAL).find(([key]) => key.toLowerCase() === name.toLowerCase());
  if (!found) return undefined;
  const [key, sizes] = found;
  const { parameters, hidden } = sizes;
  return { name: key, parameters, hidden, modules: modulesOf(sizes) };
}

function modulesOf({ hidden: d, inner, layers, heads, groups, head = d / heads, kind }: Sizes): LoraModule[] {
  const module = (name: string, role: LoraModule['role'], m: number, n: number): LoraModule => ({
    name,
    role,
    shape: [m, n],
    count: layers,
  });
  const [wide, narrow] = [heads * head, groups * head];
  if (kind === 'gpt2')
    return [
      module('attn.c_attn', 'qkv', 3 * d, d),
      module('attn.c_proj', 'output', d, d),
      module('mlp.c_fc', 'up', inner, d),
      module('mlp.c_proj', 'down', d, inner),
    ];
  if (kind === 'bert')
    return [
      module('query', 'query', d, d),
      module('key', 'key', d, d),
      module('value', 'value', d, d),
      module('attention.output.dense', 'output', d, d),
      module('intermediate.dense', 'up', inner, d),
      module('output.dense', 'down', d, inner),
    ];
  if (kind === 'phi3')
    return [
      module('qkv_proj', 'qkv', wide + 2 * narrow, d),
      module('o_proj', 'output', d, wide),
      module('gate_up_proj', 'gateUp', 2 * inner, d),
      module('down_proj', 'down', d, inner),
    ];
  return [
    module('q_proj', 'query', wide, d),
    module('k_proj', 'key', narrow, d),
    module('v_proj', 'value', narrow, d),
    module('o_proj', 'output', d, wide),
    module('gate_proj', 'gate', inner, d),
    module('up_proj', 'up', inner, d),
    module('down_proj', 'down', d, inner),
  ];
}
