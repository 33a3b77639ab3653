import { dirname } from 'node:path';
import type { Checkpoint } from '../checkpoint.ts';
import { companionJson, isObject, type JsonObject } from '../companion.ts';

/** What PEFT's adapter_config.json says, as far as the update's scale depends on it. */
export interface AdapterConfiguration {
  readonly rank: number;
  readonly alpha: number;
  /** rsLoRA: alpha / sqrt r in place of alpha / r. */
  readonly rankStabilized: boolean;
  readonly dora: boolean;
  readonly baseModel: string | undefined;
  /** By pattern of the module's name: another rank, another alpha. */
  readonly rankPattern: ReadonlyMap<string, number>;
  readonly alphaPattern: ReadonlyMap<string, number>;
}

/** The configuration beside an adapter; undefined where there is none. */
export async function adapterConfiguration(
  checkpoint: Checkpoint,
  signal?: AbortSignal,
): Promise<AdapterConfiguration | undefined> {
  const json = await companionJson(dirname(checkpoint.files[0]!.path), 'adapter_config.json', signal);
  const { r, lora_alpha: alpha } = json ?? {};
  if (!json || typeof r !== 'number' || typeof alpha !== 'number') return undefined;
  return {
    rank: r,
    alpha,
    rankStabilized: json.use_rslora === true,
    dora: json.use_dora === true,
    baseModel: typeof json.base_model_name_or_path === 'string' ? json.base_model_name_or_path : undefined,
    rankPattern: numbersOf(json.rank_pattern),
    alphaPattern: numbersOf(json.alpha_pattern),
  };
}

/**
 * The factor of a pair's product in the update: alpha / r, or alpha / sqrt r with rsLoRA. `ownAlpha` is the alpha that stands beside the
 * pair itself (kohya) and counts before the configuration; without either the factor is 1.
 */
export function adapterScale(
  pair: { readonly target: string; readonly rank: number },
  configuration?: AdapterConfiguration,
  ownAlpha?: number,
): number {
  if (ownAlpha !== undefined) return ownAlpha / pair.rank;
  if (!configuration) return 1;
  // PEFT takes the first pattern that the module's name ends with, from a dot on.
  const alpha =
    [...configuration.alphaPattern].find(([pattern]) => endsWithPattern(pair.target, pattern))?.[1] ??
    configuration.alpha;
  return alpha / (configuration.rankStabilized ? Math.sqrt(pair.rank) : pair.rank);
}

/** PEFT reads patterns as regular expressions; a hostile one could run for ever, so only plain names and `^name` are. */
function endsWithPattern(target: string, pattern: string): boolean {
  if (pattern.startsWith('^')) return target === pattern.slice(1);
  return target === pattern || target.endsWith(`.${pattern}`);
}

function numbersOf(value: unknown): Map<string, number> {
  const entries = isObject(value) ? Object.entries(value as JsonObject) : [];
  return new Map(entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'));
}
