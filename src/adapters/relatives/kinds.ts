/**
 * Kinds of adapters that are named instead of read, by the names of their parts: their update depends on the base or on
 * the input, or the file lacks what it takes to compute it.
 */
export function refusedKind(name: string): string | undefined {
  const word = PARTS.exec(name)?.[1];
  const kind = word === undefined ? undefined : (KINDS[word] ?? KINDS[word.slice(0, word.indexOf('_') + 1)]);
  return kind === undefined ? undefined : `it belongs to ${kind}`;
}

/**
 * The reason for a tensor of a method that is unknown here, by the `peft_type` that adapter_config.json states;
 * undefined for a tensor of another name.
 */
export function unknownMethod(name: string, type: string): string | undefined {
  if (!`.${name.toLowerCase()}`.includes(`.${type.toLowerCase()}_`)) return undefined;
  return `it belongs to an adapter of the method ${type}, which is not supported: merge it into its base and open that`;
}

const ON_BASE = 'its update depends on the weights of the base';
const NO_WIDTH = 'the number of inputs of a layer is not in the file';

const KINDS: Readonly<Record<string, string>> = {
  oft_: `an OFT adapter, which rotates the weights: ${ON_BASE}`,
  boft_: `a BOFT adapter, which rotates the weights: ${ON_BASE}`,
  hra_: `an HRA adapter, which reflects the weights: ${ON_BASE}`,
  road_: `a RoAd adapter, which rotates the outputs: ${ON_BASE}`,
  psoft_: `a PSOFT adapter, which rotates the weights in a subspace: ${ON_BASE}`,
  hira_: `a HiRA adapter, which multiplies the weights entry by entry: ${ON_BASE}`,
  ia3_: 'an IA3 adapter, which scales activations: its update is the base with scaled rows or columns',
  glora_: `a GLoRA adapter, which scales the weights as well: ${ON_BASE}`,
  bone_: `a Bone adapter, in which the weights of the base are multiplied: ${ON_BASE}`,
  miss_: `a MiSS adapter, which repeats one block along the inputs: ${NO_WIDTH}`,
  fourierft_: `a FourierFT adapter, which stores frequencies: the sizes of a layer and the places of its frequencies are not in the file`,
  waveft_: `a WaveFT adapter, which stores wavelet coefficients: the sizes of a layer and their places are not in the file`,
  randlora_: `a RandLoRA adapter, whose random bases are cut to each layer's size: ${NO_WIDTH}`,
  peanut_: `a PEANuT adapter, a network that takes the weights as its input: ${ON_BASE}`,
  deft_: `a DEFT adapter, which projects the weights: ${ON_BASE}`,
  frod_: `a FRoD adapter, which decomposes the weights: ${ON_BASE}`,
  osf_: `an OSF adapter, which replaces singular vectors of the weights: ${ON_BASE}`,
  adamss_: `an AdaMSS adapter, whose rows are grouped by the weights of the base: ${ON_BASE}`,
  poly_: 'a Poly adapter, which mixes its factors by the task: there is no single update',
  lily_: 'a Lily adapter, which mixes its factors by the input: there is no single update',
  xlora_: 'an X-LoRA adapter, which mixes other adapters by the input: open those adapters instead',
  shadow_: 'a Shadow adapter, a small network beside the base: it changes activations, not weights',
  beft_: 'a BEFT adapter, which changes biases only',
  lora_monteclora_sampler: 'the sampler of a MonteCLoRA adapter, which adds noise in training only',
  lora_arrow: 'the router of an Arrow adapter, which mixes other adapters by the input',
  default_lora_latent_mapping: 'a LoRA-XS adapter: the outer factors of its update come from the weights of the base',
  adaption_: 'an adaption prompt, which adds tokens and no weights',
  prefix_: 'a prompt for several tasks, which adds tokens and no weights',
  prompt_embeddings: 'a prompt or prefix adapter, which adds tokens and no weights',
  trainable_tokens_delta:
    'an adapter of single tokens: new rows of the table of embeddings, at places that adapter_config.json lists',
};
const PARTS = new RegExp(
  `(?:^|\\.)(${[
    'oft_(?:R|s|r|blocks|diag)',
    'boft_[Rs]',
    'hra_u\\w*',
    'road_(?:theta|alpha)',
    'psoft_R',
    'hira_(?:embedding_)?[AB]',
    'ia3_l',
    'glora_[A-E]',
    'bone_block',
    'miss_block',
    'fourierft_\\w+',
    'waveft_\\w+',
    'randlora_(?:A|B|lambda|gamma)',
    'peanut_(?:A|B|encoders|decoders)',
    'deft_[PR]',
    'frod_(?:V|lambda_l|lambda_s_values|s_indices|s_size)',
    'osf_svd_params',
    'adamss_(?:A|B|newB)',
    'poly_(?:lora_[AB]|router)',
    'lily_(?:A|B|router)',
    'xlora_\\w+',
    'shadow_(?:down|up|update_gate|update_transform|backbone)',
    'beft_bias',
    'lora_monteclora_sampler',
    'lora_arrow',
    'default_lora_latent_mapping',
    'adaption_(?:prompt|gate)',
    'prefix_task_(?:cols|rows)',
    'prompt_embeddings',
    'trainable_tokens_delta',
  ].join('|')})(?:\\.|$)`,
);

/** The layers of LyCORIS's GLoRA and IA3, whose parts have names that other files use as well. */
export function refusedLayers(names: readonly string[]): ReadonlyMap<string, string> {
  const all = new Set(names);
  const refused = new Map<string, string>();
  for (const name of names) {
    const glora = /^(.+)\.a1\.weight$/.exec(name)?.[1];
    const parts = glora === undefined ? [] : ['a1', 'a2', 'b1', 'b2'].map((part) => `${glora}.${part}.weight`);
    if (parts.length > 0 && parts.every((part) => all.has(part)))
      for (const part of parts) refused.set(part, `it belongs to ${KINDS.glora_}`);
    const ia3 = /^(.+)\.on_input$/.exec(name)?.[1];
    if (ia3 !== undefined && all.has(`${ia3}.weight`)) refused.set(`${ia3}.weight`, `it belongs to ${KINDS.ia3_}`);
    const oft = /^(.+)\.rescale$/.exec(name)?.[1];
    if (oft !== undefined && (all.has(`${oft}.oft_blocks`) || all.has(`${oft}.oft_diag`)))
      refused.set(name, `it belongs to ${KINDS.oft_}`);
  }
  return refused;
}

/** Why a part that layers share is no matrix, where no layer uses it. */
export function sharedReason(word: string): string {
  if (word.startsWith('unilora'))
    return 'it belongs to a Uni-LoRA adapter without the places of its entries (save_indices)';
  return 'it is shared by the layers of an adapter, of which none can be read';
}
