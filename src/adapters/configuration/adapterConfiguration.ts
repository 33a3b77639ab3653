import type { JsonObject } from '../../bytes/boundedJson.ts';
import type { NamePattern } from '../patterns/namePattern.ts';

/** What a configuration says about an adapter, as far as the scales of its updates depend on it. */
export interface AdapterConfiguration {
  /** Where it was found, for messages. */
  readonly source: string;
  /** The configuration applies to modules with this prefix; patterns are matched against names without it. */
  readonly prefix: string;
  readonly rank: number | undefined;
  /** Undefined if it does not say: the scale is then 1. */
  readonly alpha: number | undefined;
  /** The scale itself, where a configuration states it in place of an alpha (mlx-lm). */
  readonly scale: number | undefined;
  /** The alpha of convolutions where it differs (LyCORIS). */
  readonly convolutionAlpha: number | undefined;
  /** rsLoRA: alpha / sqrt r instead of alpha / r. */
  readonly rankStabilized: boolean;
  /** ABBA: alpha / sqrt r before each of the two products of LoHa. */
  readonly scalesEach: boolean;
  /** Bare parameters that are adapted too, such as the experts of a layer stored as one tensor. */
  readonly parameters: readonly string[];
  /** Ranks and alphas of the modules whose names match a pattern; the first one that matches counts. */
  readonly rankPattern: Patterned;
  readonly alphaPattern: Patterned;
  /** Why the updates are not what the factors say; they are refused then. */
  readonly refusal: string | undefined;
  /** All of it, for the methods that have settings of their own. */
  readonly settings: JsonObject;
}

export type Patterned = readonly (readonly [NamePattern, number])[];

/** A configuration that says nothing yet. */
export const SILENT: Omit<AdapterConfiguration, 'source'> = {
  prefix: '',
  rank: undefined,
  alpha: undefined,
  scale: undefined,
  convolutionAlpha: undefined,
  rankStabilized: false,
  scalesEach: false,
  parameters: [],
  rankPattern: [],
  alphaPattern: [],
  refusal: undefined,
  settings: {},
};

/** The configurations of an adapter, in order of precedence, and the base it says it was trained on. */
export interface AdapterConfigurations {
  readonly all: readonly AdapterConfiguration[];
  readonly baseModel: string | undefined;
  /** PEFT's name of the method, `peft_type`. */
  readonly method: string | undefined;
  /** What a user should know about them, one sentence each. */
  readonly remarks: readonly string[];
}

/** The number of the first pattern that the name matches; a pattern where that cannot be decided. */
export function patterned(patterns: Patterned, name: string): number | NamePattern | undefined {
  for (const [pattern, number] of patterns) {
    const fits = pattern.fits(name);
    if (fits === undefined) return pattern;
    if (fits) return number;
  }
  // PEFT falls back to the name itself as a key.
  return patterns.find(([{ pattern }]) => pattern === name)?.[1];
}

/** Why nothing can be said about a layer that a pattern may concern. */
export function undecided({ pattern, reason }: NamePattern, { source }: AdapterConfiguration): string {
  const text = pattern.length > 60 ? `${pattern.slice(0, 59)}…` : pattern;
  const why = reason ?? 'it takes too long to match';
  return `its scale is unknown: the pattern ${text} in ${source} is not a usable regular expression: ${why}`;
}

/** The first configuration for a layer. */
export function configurationOf(
  target: string,
  configurations: readonly AdapterConfiguration[],
): AdapterConfiguration | undefined {
  return configurations.find(({ prefix }) => target.startsWith(prefix));
}
