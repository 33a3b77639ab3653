/** How a network and a variant of it continue a prompt, as plain data that crosses every boundary. */

import type { DeviceInfo, DeviceRequest } from '../base/deviceInfo.ts';
import type { Plan } from './plan/plan.ts';

export interface GenerateRequest extends DeviceRequest {
  readonly path: string;
  /** It may be left out if `ids` is given. */
  readonly prompt?: string;
  /** A file of token ids, in place of encoding the prompt with the tokenizer of the checkpoint. */
  readonly ids?: string;
  /** The most tokens to add; 48 by default. */
  readonly tokens?: number;
  /** A variant beside the dense network: as `apply` would write this plan. `name` is what results call it. */
  readonly plan?: { readonly name: string; readonly plan: Plan };
  /** In place of a plan: another checkpoint of the same network, such as a factorized one. */
  readonly file?: string;
}

export interface Generation {
  readonly format: 'rankscope.generation/1';
  readonly path: string;
  readonly prompt: {
    /** Null if the ids were given and there is no tokenizer that makes a text of them. */
    readonly text: string | null;
    /** With the start token, where the tokenizer adds one. */
    readonly ids: readonly number[];
  };
  /** The most tokens that were to be added. */
  readonly tokens: number;
  /** What encoded the prompt, for people. */
  readonly tokenizer: string;
  readonly dense: Continuation;
  readonly variant: (Continuation & { readonly name: string }) | null;
  /** Null without a variant. */
  readonly agreement: Agreement | null;
  readonly engine: DeviceInfo;
  /** What to know about the result, one sentence each. */
  readonly notes: readonly string[];
}

/** What a network adds to a prompt if it takes the most likely token each time. */
export interface Continuation {
  /** Without special tokens; null if there is no tokenizer that makes a text of the ids. */
  readonly text: string | null;
  /** With the token that ends the text, if one came. */
  readonly ids: readonly number[];
  /** Whether an end token came. */
  readonly ended: boolean;
  readonly repetition: Repetition;
  /** Of the pass of the prompt. */
  readonly promptSeconds: number;
  /** Of all tokens but the first, which the pass of the prompt gives; null for a single token. */
  readonly tokensPerSecond: number | null;
}

export interface Repetition {
  /** The longest run of tokens that comes again later, without overlapping its first occurrence; null if none does. */
  readonly longest: { readonly tokens: number; readonly text: string | null } | null;
  /** The run of tokens that comes most often in a row, if it comes more than twice; null if none does. */
  readonly loop: { readonly tokens: number; readonly times: number } | null;
  /** Distinct runs of 1, 2 and 3 tokens, as shares of all; null where there are none. */
  readonly distinct: readonly [number | null, number | null, number | null];
  /** Whether the text repeats itself, by the thresholds of `measureRepetition`. */
  readonly repeats: boolean;
}

export interface Agreement {
  /** The number of equal tokens before the first that differs; null if none does. */
  readonly firstDivergence: number | null;
  /** Share of the positions, up to the longer continuation, at which both have the same token. */
  readonly equalShare: number;
  /**
   * Share of the dense continuation's tokens that the variant finds most likely too, given the dense tokens before
   * each: unlike `equalShare`, one early difference does not count at all later positions.
   */
  readonly sameChoiceShare: number;
}

/**
 * What became of the test of a written checkpoint; or why it was left out, or what went wrong on the way. A person may
 * also have asked for it with a prompt of their own.
 */
export type SmokeTest =
  | { readonly generation: Generation; readonly isAsked?: true }
  | { readonly leftOut: string }
  | { readonly failed: string };
