/** What one tensor of an adapter is to the layer it adapts. */
export type AdapterPart = LoraPart | HadamardPart | KroneckerPart | 'alpha' | 'magnitude';
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

export type AdapterNaming = 'peft' | 'kohya' | 'diffusers' | 'cloneofsimo';

export interface AdapterName {
  /** The adapted module, without the prefix and suffix of the adapter's library. */
  readonly target: string;
  /** The adapter's name if the file holds several; undefined if the file does not name it. */
  readonly adapter: string | undefined;
  readonly part: AdapterPart;
  readonly naming: AdapterNaming;
}

/** A quick test that rules out most names of most checkpoints. */
const HINT = /lora|hada_|lokr_|\.alpha$|\.dora_scale$|:(?:down|up)$/;

/** The part of an adapter that a tensor's name denotes; undefined for any other name. */
export function adapterName(name: string): AdapterName | undefined {
  if (!HINT.test(name)) return undefined;
  for (const { naming, pattern, parts } of NAMINGS) {
    const [, path, word, adapter] = pattern.exec(name) ?? [];
    const part = word === undefined ? undefined : parts[word];
    // `lora_B.bias` is not a factor: it is added whatever the rank.
    if (path === undefined || part === undefined || adapter === 'bias') continue;
    // In `lora_A.weight` the last word is the parameter, not an adapter's name.
    return { target: path, adapter: adapter === 'weight' ? undefined : adapter, part, naming };
  }
  return undefined;
}

/**
 * Other kinds of adapters, by the names of their parts. They change a layer in other ways than by adding a product of
 * small factors, so they have no spectrum of their own.
 */
export function otherKind(name: string): string | undefined {
  const word = /\.(oft_|boft_|vera_|ia3_|fourierft_|glora_|hra_|bone_|shira_)\w+(\.[^.]+)?(\.weight)?$/.exec(name)?.[1];
  return word === undefined ? undefined : OTHER_KINDS[word];
}

const OTHER_KINDS: Readonly<Record<string, string>> = {
  oft_: 'OFT, which rotates the weights',
  boft_: 'BOFT, which rotates the weights',
  hra_: 'HRA, which reflects the weights',
  vera_: 'VeRA, whose random factors are not in the file',
  ia3_: 'IA3, which scales activations',
  fourierft_: 'FourierFT, which stores frequencies',
  glora_: 'GLoRA, which depends on the weights of the base',
  bone_: 'Bone, which depends on the weights of the base',
  shira_: 'SHiRA, which changes individual entries',
};

interface Naming {
  readonly naming: AdapterNaming;
  /** Capture groups: the module, the word for the part, and the adapter's name if the naming has one. */
  readonly pattern: RegExp;
  readonly parts: Readonly<Record<string, AdapterPart>>;
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

const NAMINGS: readonly Naming[] = [
  {
    // The adapter's name may come in between: lora_A.default.weight.
    naming: 'peft',
    pattern:
      /^(?:base_model\.model\.)?(.+)\.(lora_(?:embedding_)?[ABE]|lora_magnitude_vector)(?:\.([^.]+))?(?:\.weight)?$/,
    parts: {
      lora_A: 'down',
      lora_B: 'up',
      // AdaLoRA: B diag(E) A.
      lora_E: 'singular',
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
      /^(?:lora_|lycoris_)?(.+)\.(lora_down\.weight|lora_up\.weight|lora_mid\.weight|dora_scale|hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t[12]))$/,
    parts: {
      'lora_down.weight': 'down',
      'lora_up.weight': 'up',
      'lora_mid.weight': 'mid',
      dora_scale: 'magnitude',
      ...LYCORIS_PARTS,
    },
  },
  {
    naming: 'diffusers',
    pattern: /^(.+?)(?:_lora|\.lora|\.lora_linear_layer)\.(down|up)\.weight$/,
    parts: { down: 'down', up: 'up' },
  },
  { naming: 'cloneofsimo', pattern: /^(.+:\d+):(down|up)$/, parts: { down: 'down', up: 'up' } },
  // Occurs beside factors of any naming.
  { naming: 'kohya', pattern: /^(?:base_model\.model\.|lora_|lycoris_)?(.+)\.(alpha)$/, parts: { alpha: 'alpha' } },
];
