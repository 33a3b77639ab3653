import type { TensorInfo } from '../checkpoint.ts';

/** The two factors that adapt one matrix: W + scale up down. */
export interface AdapterPair {
  /** The adapted module as the adapter names it, without what its own library puts before and after. */
  readonly target: string;
  /** r x n; of a convolution r x n x h x w. */
  readonly down: TensorInfo;
  /** m x r; of a convolution m x r x 1 x 1. */
  readonly up: TensorInfo;
  readonly rank: number;
  /** kohya's alpha of this pair, a scalar. */
  readonly alpha?: TensorInfo;
  /** DoRA's magnitude of each output. */
  readonly magnitude?: TensorInfo;
}

export interface AdapterPairs {
  /** `peft`, `kohya`, `diffusers` or `cloneofsimo`. */
  readonly naming: string;
  readonly pairs: readonly AdapterPair[];
}

/** The low-rank pairs among `tensors`, by the names that the usual libraries give them; undefined where there are none. */
export function findAdapterPairs(tensors: readonly TensorInfo[]): AdapterPairs | undefined {
  for (const naming of NAMINGS) {
    const pairs = pairsOf(tensors, naming);
    if (pairs.length > 0) return { naming: naming.name, pairs };
  }
  return undefined;
}

interface Naming {
  readonly name: string;
  /** Each takes the name of the module out as its first group. */
  readonly down: RegExp;
  readonly up: RegExp;
  readonly alpha?: RegExp;
  readonly magnitude?: RegExp;
}

const NAMINGS: readonly Naming[] = [
  {
    // An adapter's own name may stand between: lora_A.default.weight.
    name: 'peft',
    down: /^(?:base_model\.model\.)?(.+)\.lora_(?:embedding_)?A(?:\.[^.]+?)?(?:\.weight)?$/,
    up: /^(?:base_model\.model\.)?(.+)\.lora_(?:embedding_)?B(?:\.[^.]+?)?(?:\.weight)?$/,
    alpha: /^(?:base_model\.model\.)?(.+)\.alpha$/,
    magnitude: /^(?:base_model\.model\.)?(.+)\.lora_magnitude_vector(?:\.[^.]+?)?(?:\.weight)?$/,
  },
  {
    name: 'diffusers',
    down: /^(.+?)(?:_lora|\.lora|\.lora_linear_layer)\.down\.weight$/,
    up: /^(.+?)(?:_lora|\.lora|\.lora_linear_layer)\.up\.weight$/,
    alpha: /^(.+?)\.alpha$/,
  },
  {
    name: 'kohya',
    down: /^(?:lora_)?(.+)\.lora_down\.weight$/,
    up: /^(?:lora_)?(.+)\.lora_up\.weight$/,
    alpha: /^(?:lora_)?(.+)\.alpha$/,
    magnitude: /^(?:lora_)?(.+)\.dora_scale$/,
  },
  { name: 'cloneofsimo', down: /^(.+:\d+):down$/, up: /^(.+:\d+):up$/ },
];

function pairsOf(tensors: readonly TensorInfo[], naming: Naming): AdapterPair[] {
  const modules = new Map<string, { -readonly [Part in keyof Naming]?: TensorInfo }>();
  for (const tensor of tensors)
    for (const part of ['down', 'up', 'alpha', 'magnitude'] as const) {
      const target = naming[part]?.exec(tensor.name)?.[1];
      if (target === undefined) continue;
      const module = modules.get(target) ?? {};
      module[part] = tensor;
      modules.set(target, module);
      break;
    }
  const pairs: AdapterPair[] = [];
  for (const [target, { down, up, alpha, magnitude }] of modules) {
    const rank = down?.shape[0];
    // What does not fit together is no pair; it stays a tensor like any other.
    if (!down || !up || rank === undefined || down.shape.length < 2 || up.shape[1] !== rank) continue;
    pairs.push({ target, down, up, rank, ...(alpha ? { alpha } : {}), ...(magnitude ? { magnitude } : {}) });
  }
  return pairs;
}
