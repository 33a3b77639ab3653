import { dirname, join } from 'node:path';
import { Allowance } from '../bytes/allowance.ts';
import { boundedJson, isObject, type JsonObject } from '../bytes/boundedJson.ts';
import { MAX_CONFIGURATION, MAX_CONFIGURATION_MEMORY } from '../bytes/limits.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { configurationBeside } from '../checkpoint/configuration.ts';
import { loraScale } from '../model/plan/rankCost.ts';
import type { AdapterPair } from './pairs.ts';
import { sizesOf } from './parts.ts';
import { type NameTest, namePattern } from './patterns.ts';

/** What a configuration says about an adapter, as far as the scales of its updates depend on it. */
export interface AdapterConfiguration {
  /** Where it was found, for messages. */
  readonly source: string;
  /** The configuration applies to modules with this prefix; patterns are matched against names without it. */
  readonly prefix: string;
  readonly rank: number | undefined;
  readonly alpha: number;
  /** The alpha of convolutions where it differs (LyCORIS). */
  readonly convolutionAlpha: number | undefined;
  /** rsLoRA: alpha / sqrt r instead of alpha / r. */
  readonly rankStabilized: boolean;
  /** ABBA: alpha / sqrt r before each of the two products of LoHa. */
  readonly scalesEach: boolean;
  /** Whether bare parameters are adapted too, such as the experts of a layer stored as one tensor. */
  readonly parameters: boolean;
  /** Ranks and alphas of the modules whose names match a pattern. */
  readonly rankPattern: readonly (readonly [NameTest, number])[];
  readonly alphaPattern: readonly (readonly [NameTest, number])[];
  /** Patterns for ranks or alphas that are not supported: the scales of matching modules may be wrong. */
  readonly unread: readonly string[];
}

/** The configurations of an adapter, in order of precedence, and the base it says it was trained on. */
export interface AdapterConfigurations {
  readonly all: readonly AdapterConfiguration[];
  readonly baseModel: string | undefined;
}

/**
 * The configuration in the file itself (diffusers' `lora_adapter_metadata`, kohya's `ss_network_alpha`), and PEFT's
 * adapter_config.json beside the file or, for one of several adapters, in the folder of its name.
 * @param peft whether the tensors are named as PEFT names them; otherwise an adapter_config.json beside the file
 * belongs to another file.
 */
export async function adapterConfigurations(
  checkpoint: Checkpoint,
  { adapter, peft }: { readonly adapter?: string | undefined; readonly peft: boolean },
  signal?: AbortSignal,
): Promise<AdapterConfigurations> {
  const { metadata } = checkpoint;
  const folder = dirname(checkpoint.files[0]!.path);
  // A name from the file must not lead out of the folder.
  const own = adapter !== undefined && /^[\w-]+$/.test(adapter) ? [join(folder, adapter)] : [];
  const allowance = new Allowance(checkpoint.path, MAX_CONFIGURATION_MEMORY);
  let beside: JsonObject | undefined;
  for (const place of peft ? [...own, folder] : [])
    beside ??= await configurationBeside(place, 'adapter_config.json', { allowance, signal });
  const inFile = diffusersMetadata(metadata, allowance);
  const all = [
    ...inFile.flatMap(([prefix, json]) => configurationOf(json, 'lora_adapter_metadata', prefix)),
    ...(beside ? configurationOf(beside, 'adapter_config.json', '') : []),
    ...(peft ? [] : kohyaMetadata(metadata, allowance)),
  ];
  const named = [beside, ...inFile.map(([, json]) => json)].map((json) => json?.base_model_name_or_path);
  const baseModel = [...named, metadata.get('ss_sd_model_name'), metadata.get('ss_base_model_version')].find(
    (name): name is string => typeof name === 'string' && name !== '' && name !== 'None',
  );
  return { all, baseModel };
}

/**
 * The scale of a pair's product in the update: alpha / r, or alpha / sqrt r with rsLoRA. `ownAlpha` is the alpha stored
 * beside the pair itself (kohya) and takes precedence over any configuration; without either the scale is 1.
 */
export function adapterScale(
  pair: Pick<AdapterPair, 'target' | 'factorRank' | 'stored'>,
  configurations: readonly AdapterConfiguration[],
  ownAlpha?: number,
): number {
  const { target, factorRank, stored } = pair;
  // For a Kronecker product of whole matrices, LyCORIS sets alpha to the rank.
  if (ownAlpha !== undefined) return factorRank === undefined ? 1 : ownAlpha / factorRank;
  const configuration = configurations.find(({ prefix }) => target.startsWith(prefix));
  if (!configuration) return 1;
  const { prefix, alphaPattern, rankPattern, convolutionAlpha, rankStabilized } = configuration;
  const name = target.slice(prefix.length);
  const isKernel = stored.kind === 'lora' && stored.product.down.shape.length > 2;
  const alpha =
    alphaPattern.find(([fits]) => fits(name))?.[1] ?? (isKernel ? convolutionAlpha : undefined) ?? configuration.alpha;
  const rank = factorRank ?? rankPattern.find(([fits]) => fits(name))?.[1] ?? configuration.rank;
  if (rank === undefined) return 1;
  // AdaLoRA avoids a division by zero this way.
  if (stored.kind === 'lora' && stored.product.singular) return (alpha > 0 ? alpha : rank) / (rank + 1e-5);
  if (configuration.scalesEach && stored.kind === 'loha' && !stored.first.core)
    return alpha ** 2 / Math.sqrt(sizesOf(stored.first).rank * sizesOf(stored.second).rank);
  return loraScale(alpha, rank, rankStabilized);
}

/**
 * How many experts share a pair of factors. PEFT concatenates the factors of all experts of one tensor, rank r each;
 * their product would be a sum over experts, which is no expert's update. 1 for any other pair.
 */
export function expertsOf(
  { target, rank, stored }: Pick<AdapterPair, 'target' | 'rank' | 'stored'>,
  configurations: readonly AdapterConfiguration[],
): number {
  const configuration = configurations.find(({ prefix }) => target.startsWith(prefix));
  const own = configuration?.rank;
  if (!configuration?.parameters || !own || stored.kind !== 'lora') return 1;
  return /(^|\.)experts(\.base_layer)*$/.test(target) && rank % own === 0 ? rank / own : 1;
}

function configurationOf(json: JsonObject, source: string, prefix: string): AdapterConfiguration[] {
  const { r, lora_alpha: loraAlpha, alpha: otherAlpha } = json;
  // LoHa and LoKr name it `alpha`.
  const alpha = loraAlpha ?? otherAlpha;
  if (typeof alpha !== 'number') return [];
  const unread: string[] = [];
  return [
    {
      source,
      prefix,
      rank: typeof r === 'number' ? r : undefined,
      alpha,
      convolutionAlpha: undefined,
      rankStabilized: json.use_rslora === true,
      scalesEach: json.use_khatri_rao === true || (json.use_khatri_rao === 'auto' && json.init_weights === 'abba'),
      parameters: Array.isArray(json.target_parameters) && json.target_parameters.length > 0,
      rankPattern: patternsOf(json.rank_pattern, unread),
      alphaPattern: patternsOf(json.alpha_pattern, unread),
      unread,
    },
  ];
}

/** AdaLoRA's rank pattern consists of lists of booleans, which add nothing to what the shapes say. */
function patternsOf(value: unknown, unread: string[]): (readonly [NameTest, number])[] {
  return Object.entries(isObject(value) ? value : {}).flatMap(([pattern, number]) => {
    if (typeof number !== 'number') return [];
    const test = namePattern(pattern);
    if (!test) unread.push(pattern);
    return test ? [[test, number] as const] : [];
  });
}

/** The configuration of each part of the pipeline, whose keys are prefixed: `unet.lora_alpha`. */
function diffusersMetadata(
  metadata: ReadonlyMap<string, string>,
  allowance: Allowance,
): (readonly [prefix: string, JsonObject])[] {
  const json = parsed(metadata.get('lora_adapter_metadata'), allowance);
  const parts = new Map<string, Record<string, unknown>>();
  for (const [key, value] of Object.entries(json ?? {})) {
    const dot = key.lastIndexOf('.');
    const prefix = key.slice(0, dot + 1);
    const part: Record<string, unknown> = parts.get(prefix) ?? Object.create(null);
    part[key.slice(dot + 1)] = value;
    parts.set(prefix, part);
  }
  // Longest first, so that `text_encoder_2.` is not taken for `text_encoder`.
  return [...parts].sort(([one], [other]) => other.length - one.length);
}

function kohyaMetadata(metadata: ReadonlyMap<string, string>, allowance: Allowance): AdapterConfiguration[] {
  const alpha = numberIn(metadata.get('ss_network_alpha'));
  if (alpha === undefined) return [];
  const more = parsed(metadata.get('ss_network_args'), allowance);
  const rank = numberIn(metadata.get('ss_network_dim'));
  return [
    {
      source: 'ss_network_alpha',
      prefix: '',
      rank,
      alpha,
      convolutionAlpha: numberIn(more?.conv_alpha),
      rankStabilized: false,
      scalesEach: false,
      parameters: false,
      rankPattern: [],
      alphaPattern: [],
      unread: [],
    },
  ];
}

function numberIn(value: unknown): number | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

function parsed(text: string | undefined, allowance: Allowance): JsonObject | undefined {
  if (text === undefined || text.length > MAX_CONFIGURATION) return undefined;
  try {
    const json = boundedJson('metadata', Buffer.from(text), allowance);
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}
