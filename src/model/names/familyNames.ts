/** Names of families by what configurations call them (`model_type`), for those whose name is no sum of its words. */
const NAMES: readonly (readonly [string, RegExp])[] = [
  ['Llama 4', /^llama4/],
  ['LLaMA', /^llama\d*$/],
  ['Llama Vision', /^mllama/],
  ['Mixtral', /^mixtral/],
  ['Mistral', /^mi(ni)?stral\d*$/],
  ['Qwen MoE', /^qwen[\d.]*moe$/],
  ['Qwen', /^qwen[\d.]*$/],
  ['DeepSeek', /^deepseek[v\d]*$/],
  ['gpt-oss', /^gptoss/],
  ['Gemma', /^gemma\d*$/],
  ['Gemma 3n', /^gemma3n$/],
  ['GPT-2', /^gpt2$/],
  ['GPT-J', /^gptj$/],
  ['GPT-Neo', /^gptneo$/],
  ['GPT-NeoX', /^gptneox$/],
  ['Phi', /^phi[12]?(msft)?$/],
  ['Phi-3', /^phi3$/],
  ['Command R', /^(cohere\d*|commandr)$/],
  ['OLMo', /^olmo\d*$/],
  ['OLMoE', /^olmoe$/],
  ['GLM MoE', /^glm\d*moe/],
  ['GLM', /^(chat)?glm\d*$/],
  ['Granite MoE', /^granitemoe/],
  ['BLOOM', /^bloom$/],
  ['OPT', /^opt$/],
  ['MPT', /^mpt$/],
  ['DBRX', /^dbrx$/],
  ['RWKV', /^rwkv/],
  ['BERT', /^bert$/],
  ['RoBERTa', /^roberta$/],
  ['DistilBERT', /^distilbert$/],
  ['DeBERTa', /^debertav?\d?$/],
  ['ModernBERT', /^modernbert$/],
  ['T5', /^(m|um|long)?t5$/],
  ['BART', /^m?bart$/],
  ['CLIP', /^clip/],
  ['SigLIP', /^siglip/],
  ['ViT', /^vit$/],
  ['DINOv2', /^dinov2$/],
  ['DINOv3', /^dinov3/],
  ['ResNet', /^resnet$/],
  ['ConvNeXt', /^convnext/],
  ['LLaVA', /^llava/],
  ['wav2vec 2.0', /^wav2vec2$/],
];

/** Words of a `model_type` that are not spelled like other words. */
const WORDS: Readonly<Record<string, string>> = Object.fromEntries(
  (
    'MoE VL GPT BERT ViT CLIP T5 GLM LM XL OCR ASR TTS BART DETR SAM BLIP MLCD MPNet XLM XGLM XLNet ESM FNet SSD VQGAN ' +
    'DPT GIT BEiT DeiT DAB TVP ViLT VITS OLMo RoBERTa SigLIP LLaVA PaliGemma DeepSeek CTC'
  )
    .split(' ')
    .map((word) => [word.toLowerCase(), word]),
);

/** Parts of a larger network that a `model_type` may name at its end: `qwen3_vl_text`. */
const PARTS = /(?<=.)[-_](text|vision|audio|text[-_]model|vision[-_]model)$/;

/**
 * The name of a family by the `model_type` of its config.json or the `general.architecture` of a GGUF file:
 * `qwen3_moe` and `qwen3moe` give `Qwen MoE`, `qwen2_5_vl` gives `Qwen2.5 VL`.
 */
export function familyOfModelType(modelType: string): string {
  const whole = modelType.toLowerCase().replace(PARTS, '');
  const key = whole.replace(/[-_.]/g, '');
  const known = NAMES.find(([, pattern]) => pattern.test(key));
  if (known) return known[0];
  return whole
    .replace(/(\d)_(\d)/g, '$1.$2')
    .split(/[-_]/)
    .filter(Boolean)
    .map((word) => (Object.hasOwn(WORDS, word) ? WORDS[word]! : word[0]!.toUpperCase() + word.slice(1)))
    .join(' ');
}

/** Longest name that is taken from a file, in characters. */
const LONGEST = 60;

/** The family by what a checkpoint's metadata say; undefined if they say nothing. */
export function familyOfMetadata(metadata: ReadonlyMap<string, string>): string | undefined {
  const said = (key: string) => {
    const text = metadata.get(key) ?? '';
    return /^[\w./+ -]+$/.test(text) && text.length <= LONGEST ? text : undefined;
  };
  const modelType = said('config.json: model_type') ?? said('general.architecture');
  if (modelType !== undefined) return familyOfModelType(modelType) || undefined;
  // A class of diffusers, such as `FluxTransformer2DModel`, or what trainers of adapters write.
  return said('config.json: _class_name') ?? said('modelspec.architecture');
}
