import { isObject, type JsonObject } from '../../bytes/boundedJson.ts';
import { Steps } from '../patterns/matcher.ts';
import { namePattern } from '../patterns/namePattern.ts';
import { type AdapterConfiguration, type Patterned, SILENT } from './adapterConfiguration.ts';

/** PEFT's own values for what a configuration leaves out. */
const DEFAULT_ALPHA = 8;
const DEFAULT_RANK = 8;

/** PEFT's adapter_config.json, which torchtune writes as well, or the same in a file's metadata. */
export function peftConfiguration(json: JsonObject, source: string, prefix: string): AdapterConfiguration[] {
  const { r, lora_alpha: loraAlpha, alpha: otherAlpha } = json;
  // LoHa and LoKr name it `alpha`.
  const stated = loraAlpha ?? otherAlpha;
  const isPeft = typeof json.peft_type === 'string';
  if (typeof stated !== 'number' && !isPeft) return [];
  const steps = new Steps();
  return [
    {
      ...SILENT,
      source,
      prefix,
      rank: typeof r === 'number' ? r : isPeft ? DEFAULT_RANK : undefined,
      alpha: typeof stated === 'number' ? stated : DEFAULT_ALPHA,
      rankStabilized: json.use_rslora === true,
      scalesEach: json.use_khatri_rao === true || (json.use_khatri_rao === 'auto' && json.init_weights === 'abba'),
      parameters: Array.isArray(json.target_parameters)
        ? json.target_parameters.filter((name): name is string => typeof name === 'string')
        : [],
      rankPattern: patternsOf(json.rank_pattern, steps),
      alphaPattern: patternsOf(json.alpha_pattern, steps),
      refusal: refusalOf(json),
      settings: json,
    },
  ];
}

/** AdapterHub's adapter_config.json: the settings of the method are an object in it. */
export function adapterHubConfiguration(json: JsonObject, source: string): AdapterConfiguration[] {
  const { config } = json;
  if (!isObject(config) || typeof config.alpha !== 'number') return [];
  const refusal =
    config.composition_mode === 'scale'
      ? 'it scales the outputs of the layer instead of adding to its weight'
      : undefined;
  return [{ ...SILENT, source, alpha: config.alpha, refusal }];
}

/** Variants of LoRA whose factors have a meaning of their own. */
function refusalOf(json: JsonObject): string | undefined {
  if (json.use_qalora === true)
    return 'it is a QALoRA adapter: its A acts on averages of the inputs, so the update is not B A';
  if (json.use_mora === true)
    return 'it is a MoRA adapter: its square matrix acts on compressed inputs, so there is no B A';
  if (isObject(json.use_bdlora))
    return 'it is a BD-LoRA adapter: its factors hold the blocks of block-diagonal matrices';
  return undefined;
}

/** What a user should know before trusting the updates of a PEFT adapter. */
export function peftRemarks(json: JsonObject): string[] {
  const remarks: string[] = [];
  const start = json.init_lora_weights;
  if (typeof start === 'string' && /^(pissa|olora|corda|lora_ga|loftq)/i.test(start))
    remarks.push(
      `the factors were initialized with ${start}, which changes the base: the update counts from that base`,
    );
  if (isObject(json.kasa_config)) remarks.push('KaSA truncates the base before the update is added');
  if (Array.isArray(json.alora_invocation_tokens) && json.alora_invocation_tokens.length > 0)
    remarks.push('it is an activated LoRA: the update applies to the tokens after its invocation only');
  return remarks;
}

/** AdaLoRA's rank pattern consists of lists of booleans, which add nothing to what the shapes say. */
function patternsOf(value: unknown, steps: Steps): Patterned {
  return Object.entries(isObject(value) ? value : {}).flatMap(([pattern, number]) =>
    typeof number === 'number' ? [[namePattern(pattern, steps), number] as const] : [],
  );
}
