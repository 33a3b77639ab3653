/** What one tensor of an adapter is to the layer it adapts. */
export type AdapterPart = LoraPart | HadamardPart | KroneckerPart | 'alpha' | 'magnitude' | 'full';
type LoraPart = 'down' | 'up' | 'mid' | 'singular' | 'embeddingDown' | 'embeddingUp';
type HadamardPart = 'hada_w1_a' | 'hada_w1_b' | 'hada_w2_a' | 'hada_w2_b' | 'hada_t1' | 'hada_t2';
type KroneckerPart =
  | 'lokr_w1'
  | 'lokr_w1_a'
  | 'lokr_w1_b'
  | 'lokr_t1'
  | 'lokr_w2'
  | 'lokr_w2_a'
  | 'lokr_w2_b'
  | 'lokr_t2';

export type AdapterNaming =
  | 'peft'
  | 'kohya'
  | 'diffusers'
  | 'cloneofsimo'
  | 'mlx-lm'
  | 'mlx-vlm'
  | 'torchtune'
  | 'adapterhub'
  | 'gguf'
  | 'xlabs'
  | 'control-lora'
  | 'nemo';

export interface AdapterName {
  /** The adapted module, without the prefix and suffix of the adapter's library. */
  readonly target: string;
  /** The adapter's name if the file holds several; undefined if the file does not name it. */
  readonly adapter: string | undefined;
  readonly part: AdapterPart;
  readonly naming: AdapterNaming;
}

/** A quick test that rules out most names of most checkpoints. */
const HINT = /lora|hada_|lokr_|adapter.*\.linear_|\.(?:alpha|dora_scale|diff|magnitude|m|up|down|A|B)$|:(?:down|up)$/;

/**
 * Reads the names of a file's tensors. Some namings are so short that they count only in their own files: `.up` and
 * `.down` beside the marker of a Control-LoRA, `.A` and `.B` if all tensors are called so.
 */
export function nameReader(names: readonly string[]): (name: string) => AdapterName | undefined {
  const more: Naming[] = [];
  if (names.includes('lora_controlnet')) more.push(CONTROL_LORA);
  if (names.length > 0 && names.every((name) => /\.[AB]$/.test(name))) more.push(MLX_VLM);
  const namings = [...more, ...NAMINGS];
  return (name) => (HINT.test(name) ? read(name, namings) : undefined);
}

/** The part of an adapter that a tensor's name denotes; undefined for any other name. */
function read(name: string, namings: readonly Naming[]): AdapterName | undefined {
  for (const { naming, pattern, parts, targetOf, adapterOf } of namings) {
    const match = pattern.exec(name);
    const [, path, word, adapter] = match ?? [];
    const part = word === undefined ? undefined : parts[word];
    // `lora_B.bias` is not a factor: it is added whatever the rank.
    if (!match || path === undefined || part === undefined || adapter === 'bias') continue;
    // In `lora_A.weight` the last word is the parameter, not an adapter's name.
    const target = targetOf ? targetOf(match) : path;
    return { target, adapter: adapterOf ? adapterOf(match) : adapter === 'weight' ? undefined : adapter, part, naming };
  }
  return undefined;
}

interface Naming {
  readonly naming: AdapterNaming;
  /** Capture groups: the module, the word for the part, and the adapter's name if the naming has one. */
  readonly pattern: RegExp;
  readonly parts: Readonly<Record<string, AdapterPart>>;
  /** The adapted module, where it is more than the first group. */
  readonly targetOf?: (match: RegExpExecArray) => string;
  /** The adapter's name, where it is not the third group. */
  readonly adapterOf?: (match: RegExpExecArray) => string | undefined;
}

const LYCORIS = ['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b', 'hada_t1', 'hada_t2'].concat([
  'lokr_w1',
  'lokr_w1_a',
  'lokr_w1_b',
  'lokr_t1',
  'lokr_w2',
  'lokr_w2_a',
  'lokr_w2_b',
  'lokr_t2',
]) as (HadamardPart | KroneckerPart)[];
const LYCORIS_PARTS = Object.fromEntries(LYCORIS.map((part) => [part, part]));

const CONTROL_LORA: Naming = {
  naming: 'control-lora',
  pattern: /^(.+)\.(up|down)$/,
  parts: { up: 'up', down: 'down' },
};
const MLX_VLM: Naming = { naming: 'mlx-vlm', pattern: /^(.+)\.(A|B)$/, parts: { A: 'down', B: 'up' } };

/** The layer of Flux that a part of an XLabs processor adapts. */
const XLABS_LAYERS: Readonly<Record<string, string>> = { 1: 'img_attn', 2: 'txt_attn', '': 'processor' };
/** The layers of Megatron by the names that NeMo gives their adapters. */
const NEMO_LAYERS: Readonly<Record<string, string>> = {
  lora_kqv_adapter: 'linear_qkv',
  lora_dense_attention_adapter: 'linear_proj',
  lora_hto4h_adapter: 'linear_fc1',
  lora_4htoh_adapter: 'linear_fc2',
};

const NAMINGS: readonly Naming[] = [
  {
    naming: 'adapterhub',
    pattern: /^(.+)\.loras\.[^.]+\.(lora_[AB])$/,
    parts: { lora_A: 'down', lora_B: 'up' },
    adapterOf: ([name]) => /\.loras\.([^.]+)\./.exec(name)?.[1],
  },
  {
    // torchtune's export for PEFT keeps its own word for DoRA's magnitudes.
    naming: 'peft',
    pattern: /^base_model\.model\.(.+)\.(magnitude)$/,
    parts: { magnitude: 'magnitude' },
  },
  {
    // The adapter's name may come in between: lora_A.default.weight.
    naming: 'peft',
    pattern:
      /^(?:(?:module|_orig_mod)\.)*(?:base_model\.model\.)?(.+)\.(lora_(?:embedding_)?[ABE]|lora_diag|lora_magnitude_vector)(?:\.([^.]+))?(?:\.weight)?$/,
    parts: {
      lora_A: 'down',
      lora_B: 'up',
      // AdaLoRA: B diag(E) A.
      lora_E: 'singular',
      // KaSA: B diag(d) A.
      lora_diag: 'singular',
      lora_embedding_A: 'embeddingDown',
      lora_embedding_B: 'embeddingUp',
      lora_magnitude_vector: 'magnitude',
    },
  },
  {
    // PEFT and LyCORIS use the same words. LyCORIS has flat module names with a prefix that says where they come from.
    naming: 'peft',
    pattern:
      /^(?:base_model\.model\.)?((?!lora_|lycoris_).+)\.(hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t[12]))(?:\.([^.]+))?$/,
    parts: LYCORIS_PARTS,
  },
  {
    naming: 'kohya',
    pattern:
      /^(?:lora_|lycoris_)?(.+)\.(lora_down|lora_up|lora_mid|dora_scale|diff|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t[12]))(?:\.weight)?$/,
    parts: {
      lora_down: 'down',
      lora_up: 'up',
      lora_mid: 'mid',
      dora_scale: 'magnitude',
      diff: 'full',
      ...LYCORIS_PARTS,
    },
  },
  {
    naming: 'xlabs',
    pattern: /^(.+)\.processor\.(?:qkv|proj)_lora[12]?\.(down|up)\.weight$/,
    parts: { down: 'down', up: 'up' },
    targetOf: ([name, path]) => {
      const [, layer = '', place = ''] = /\.(qkv|proj)_lora([12]?)\.\w+\.weight$/.exec(name) ?? [];
      return `${path}.${XLABS_LAYERS[place]}.${layer}`;
    },
  },
  {
    naming: 'diffusers',
    pattern: /^(.+?)(?:_lora|\.lora|\.lora_linear_layer)\.(down|up)\.weight$/,
    parts: { down: 'down', up: 'up' },
  },
  { naming: 'cloneofsimo', pattern: /^(.+:\d+):(down|up)$/, parts: { down: 'down', up: 'up' } },
  { naming: 'gguf', pattern: /^(.+?)(?:\.weight)\.(lora_[ab])$/, parts: { lora_a: 'down', lora_b: 'up' } },
  {
    naming: 'torchtune',
    pattern: /^(?:adapter\.)?(.+)\.(lora_[ab])\.weight$/,
    parts: { lora_a: 'down', lora_b: 'up' },
  },
  { naming: 'mlx-lm', pattern: /^(.+)\.(lora_[ab])$/, parts: { lora_a: 'down', lora_b: 'up' } },
  // DoRA in torchtune and in mlx-lm.
  {
    naming: 'torchtune',
    pattern: /^(?:adapter\.)?(.+)\.(magnitude|m)$/,
    parts: { magnitude: 'magnitude', m: 'magnitude' },
  },
  {
    naming: 'nemo',
    pattern: /^(.+?)\.(?:adapter_layer\.\w+|adapter\w*)\.linear_(in|out)(?:\.weight)?$/,
    parts: { in: 'down', out: 'up' },
    targetOf: ([name, path]) => {
      const [, layer, word] = /\.(?:adapter_layer\.(\w+)|adapter_?(\w*))\.linear_/.exec(name) ?? [];
      return [path, layer === undefined ? word : (NEMO_LAYERS[layer] ?? layer)].filter(Boolean).join('.');
    },
  },
  // Occurs beside factors of any naming.
  { naming: 'kohya', pattern: /^(?:base_model\.model\.|lora_|lycoris_)?(.+)\.(alpha)$/, parts: { alpha: 'alpha' } },
];
