/** Parts of a diffusers pipeline by the words of kohya, which begin its names. */
const PARTS: readonly (readonly [kohya: string, diffusers: string])[] = [
  ['te1_', 'text_encoder.'],
  ['te2_', 'text_encoder_2.'],
  ['te3_', 'text_encoder_3.'],
  ['te_', 'text_encoder.'],
  ['unet_', 'unet.'],
  ['transformer_', 'transformer.'],
];
/** First words of modules that stand without the name of their part, as in an adapter of PEFT for one of them. */
const BARE: readonly (readonly [RegExp, string])[] = [
  [/^(down_blocks|mid_block|up_blocks|conv_in|conv_out|time_embedding)\./, 'unet_'],
  [/^text_model\./, 'te_'],
  [/^(single_)?transformer_blocks\./, 'transformer_'],
];

const flat = (module: string) => module.replaceAll('.', '_');

/** The name of kohya for a module: its part of the pipeline, and the path joined with underscores. */
export function kohyaName(module: string, severalEncoders: boolean): string {
  for (const [word, part] of PARTS)
    if (module.startsWith(part) && !(word === 'te1_' && !severalEncoders) && !(word === 'te_' && severalEncoders))
      return `lora_${word}${flat(module.slice(part.length))}`;
  const bare = BARE.find(([pattern]) => pattern.test(module))?.[1] ?? '';
  return `lora_${bare}${flat(module)}`;
}

/** Resolves names that kohya joined with underscores, by the modules of a model; undefined for one that it lacks. */
export function moduleResolver(modules: readonly string[]): (flatName: string) => string | undefined {
  const known = new Map(modules.map((module) => [flat(module), module]));
  return (name) => {
    const whole = known.get(name);
    if (whole !== undefined) return whole;
    for (const [word, part] of PARTS) {
      const found = name.startsWith(word) ? known.get(name.slice(word.length)) : undefined;
      if (found !== undefined) return `${part}${found}`;
    }
    return undefined;
  };
}

/** A module without the name of its part, as PEFT names the modules of one model. */
export function withoutPart(module: string): string {
  const part = PARTS.find(([, diffusers]) => module.startsWith(diffusers))?.[1] ?? '';
  return module.slice(part.length);
}
