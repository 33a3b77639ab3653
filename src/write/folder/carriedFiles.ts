/** Files of a model's folder that belong to the model whatever its weights are. */
const CARRIED = [
  // Read by transformers beside the weights.
  /^generation_config\.json$/,
  /^(?:preprocessor|processor|image_processor|video_preprocessor|feature_extractor|audio)_config\.json$/,
  /^(?:preprocessor|processor)_config\.json$/,
  /^chat_template\.(?:json|jinja)$/,
  // Tokenizers.
  /^(?:tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|tekken|normalizer)\.json$/,
  /^(?:vocab|merges|bpe\.codes|dict|spm|emoji)(?:\.\w+)?\.(?:txt|bpe|codes|model)$/,
  /^(?:vocab|merges|dict|entity_vocab)\.(?:txt|json|bpe|tsv)$/,
  /^[\w.-]*(?:tokenizer|sentencepiece|spiece|spm|bpe|vocab)[\w.-]*\.(?:model|vocab|codes|tiktoken|txt)$/,
  /^(?:source|target)\.spm$/,
  // What the use of the model is bound to.
  /^(?:licen[cs]e|notice|copying|copyright|use[_-]?policy|acceptable[_-]?use)[\w.-]*$/i,
];
/** Code that a configuration names. */
const CODE = /^[A-Za-z_]\w*\.py$/;

/** The names of files that are copied, and those that are not, but for weights and the configuration. */
export function carriedFiles(
  names: readonly string[],
  weights: ReadonlySet<string>,
  hasCode: boolean,
): { readonly carried: readonly string[]; readonly left: readonly string[] } {
  const others = names.filter((name) => !weights.has(name) && name !== 'config.json').toSorted();
  const isCarried = (name: string) => CARRIED.some((kind) => kind.test(name)) || (hasCode && CODE.test(name));
  return { carried: others.filter(isCarried), left: others.filter((name) => !isCarried(name)) };
}
