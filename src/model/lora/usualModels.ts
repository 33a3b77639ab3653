import type { LoraModel, LoraModule } from './count.ts';

/** The sizes in a configuration of transformers that decide what an adapter costs. */
type Sizes = readonly [
  hidden: number,
  inner: number,
  layers: number,
  heads: number,
  groups: number,
  parameters: number,
  more?: {
    /** Of one head; hidden / heads by default. */
    readonly head?: number;
    /** By default q, k, v, o, gate, up, down. `phi3`: qkv_proj and gate_up_proj. `gpt2`: c_attn and no gate. */
    readonly kind?: 'phi3' | 'gpt2' | 'bert';
  },
];

/**
 * By the names of their repositories. Sizes are those of the published configurations; parameters are those of the
 * checkpoint, with tied tensors counted once.
 */
const USUAL: Readonly<Record<string, Sizes>> = {
  gpt2: [768, 3072, 12, 12, 12, 124_439_808, { kind: 'gpt2' }],
  'gpt2-medium': [1024, 4096, 24, 16, 16, 354_823_168, { kind: 'gpt2' }],
  'gpt2-large': [1280, 5120, 36, 20, 20, 774_030_080, { kind: 'gpt2' }],
  'gpt2-xl': [1600, 6400, 48, 25, 25, 1_557_611_200, { kind: 'gpt2' }],
  'bert-base-uncased': [768, 3072, 12, 12, 12, 109_482_240, { kind: 'bert' }],
  'SmolLM2-135M': [576, 1536, 30, 9, 3, 134_515_008],
  'SmolLM2-360M': [960, 2560, 32, 15, 5, 361_821_120],
  'SmolLM2-1.7B': [2048, 8192, 24, 32, 32, 1_711_376_384],
  'TinyLlama-1.1B': [2048, 5632, 22, 32, 4, 1_100_048_384],
  'Llama-3.2-1B': [2048, 8192, 16, 32, 8, 1_235_814_400],
  'Llama-3.2-3B': [3072, 8192, 28, 24, 8, 3_212_749_824],
  'Llama-2-7b': [4096, 11_008, 32, 32, 32, 6_738_415_616],
  'Llama-3.1-8B': [4096, 14_336, 32, 32, 8, 8_030_261_248],
  'Llama-2-13b': [5120, 13_824, 40, 40, 40, 13_015_864_320],
  'Llama-2-70b': [8192, 28_672, 80, 64, 8, 68_976_648_192],
  'Llama-3.1-70B': [8192, 28_672, 80, 64, 8, 70_553_706_496],
  'Mistral-7B': [4096, 14_336, 32, 32, 8, 7_241_732_096],
  'Mistral-Nemo-12B': [5120, 14_336, 40, 32, 8, 12_247_782_400, { head: 128 }],
  'Mistral-Small-24B': [5120, 32_768, 40, 32, 8, 23_572_403_200, { head: 128 }],
  'Qwen2.5-0.5B': [896, 4864, 24, 14, 2, 494_032_768],
  'Qwen2.5-1.5B': [1536, 8960, 28, 12, 2, 1_543_714_304],
  'Qwen2.5-3B': [2048, 11_008, 36, 16, 2, 3_085_938_688],
  'Qwen2.5-7B': [3584, 18_944, 28, 28, 4, 7_615_616_512],
  'Qwen2.5-14B': [5120, 13_824, 48, 40, 8, 14_770_033_664],
  'Qwen2.5-32B': [5120, 27_648, 64, 40, 8, 32_763_876_352],
  'Qwen2.5-72B': [8192, 29_568, 80, 64, 8, 72_706_203_648],
  'Qwen3-0.6B': [1024, 3072, 28, 16, 8, 596_049_920, { head: 128 }],
  'Qwen3-1.7B': [2048, 6144, 28, 16, 8, 1_720_574_976],
  'Qwen3-4B': [2560, 9728, 36, 32, 8, 4_022_468_096, { head: 128 }],
  'Qwen3-8B': [4096, 12_288, 36, 32, 8, 8_190_735_360],
  'Qwen3-14B': [5120, 17_408, 40, 40, 8, 14_768_307_200],
  'Qwen3-32B': [5120, 25_600, 64, 64, 8, 32_762_123_264, { head: 128 }],
  'Gemma-2-2b': [2304, 9216, 26, 8, 4, 2_614_341_888, { head: 256 }],
  'Gemma-2-9b': [3584, 14_336, 42, 16, 8, 9_241_705_984, { head: 256 }],
  'Gemma-2-27b': [4608, 36_864, 46, 32, 16, 27_227_128_320, { head: 128 }],
  'Gemma-3-1b': [1152, 6912, 26, 4, 1, 999_885_952, { head: 256 }],
  'Phi-4': [5120, 17_920, 40, 40, 10, 14_659_507_200, { kind: 'phi3' }],
  'Phi-3-mini': [3072, 8192, 32, 32, 32, 3_821_079_552, { kind: 'phi3' }],
};

export const USUAL_MODELS: readonly string[] = Object.keys(USUAL);

/** A usual model by its name, upper or lower case; undefined for any other. */
export function usualModel(name: string): LoraModel | undefined {
  const found = Object.entries(USUAL).find(([key]) => key.toLowerCase() === name.toLowerCase());
  if (!found) return undefined;
  const [key, sizes] = found;
  const [hidden, , , , , parameters] = sizes;
  return { name: key, parameters, hidden, modules: modulesOf(sizes) };
}

function modulesOf([d, inner, layers, heads, groups, , more = {}]: Sizes): LoraModule[] {
  const { head = d / heads, kind } = more;
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
