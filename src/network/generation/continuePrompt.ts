import type { Random } from '../../base/random.ts';
import type { ResidentNetwork } from './residentNetwork.ts';

export interface ContinueOptions {
  /** The most tokens to add; at least 1. */
  readonly tokens: number;
  /** Tokens that end the text. They are kept, as by transformers. */
  readonly ends: ReadonlySet<number>;
  /** Receives each token as soon as it is known. */
  readonly onToken?: ((id: number) => void) | undefined;
}

export interface Continued {
  readonly ids: readonly number[];
  /** Whether the last of them ends the text. */
  readonly ended: boolean;
  /** Of the pass of the prompt, which gives the first token. */
  readonly promptSeconds: number;
  /** Of all other tokens together. */
  readonly seconds: number;
}

/**
 * Continues a prompt with the most likely token each time (of equal ones, that with the lowest id, as torch.argmax
 * gives it), which costs one token's pass per step.
 * @param prompt at least one id; with `tokens`, no more than the model's context.
 */
export function continueGreedily(
  resident: ResidentNetwork,
  prompt: readonly number[],
  options: ContinueOptions,
): Promise<Continued> {
  return continueBy(largestAt, resident, prompt, options);
}

/**
 * Continues a prompt with tokens drawn from the predictions of the network at temperature 1.
 * @param random the only source of chance: the same numbers give the same text
 */
export function continueBySampling(
  random: Random,
  resident: ResidentNetwork,
  prompt: readonly number[],
  options: ContinueOptions,
): Promise<Continued> {
  return continueBy((logits) => drawn(logits, random.uniform()), resident, prompt, options);
}

async function continueBy(
  choose: (logits: Float32Array) => number,
  resident: ResidentNetwork,
  prompt: readonly number[],
  { tokens, ends, onToken }: ContinueOptions,
): Promise<Continued> {
  const ids: number[] = [];
  const began = performance.now();
  resident.begin(prompt.length + tokens);
  const take = (logits: Float32Array) => {
    const id = choose(logits);
    ids.push(id);
    onToken?.(id);
  };
  await resident.pass(prompt, prompt.length - 1, take);
  const passed = performance.now();
  while (ids.length < tokens && !ends.has(ids.at(-1)!)) await resident.pass([ids.at(-1)!], 0, take);
  const seconds = (performance.now() - passed) / 1000;
  return { ids, ended: ends.has(ids.at(-1)!), promptSeconds: (passed - began) / 1000, seconds };
}

/**
 * The most likely token behind each position of `ids` from `first` on, given all before it: what the network would have
 * said at each place of a text that is not its own.
 */
export async function likeliestTokens(
  resident: ResidentNetwork,
  ids: readonly number[],
  first: number,
): Promise<number[]> {
  const likeliest: number[] = [];
  resident.begin(ids.length);
  await resident.pass(ids, first, (logits) => likeliest.push(largestAt(logits)));
  return likeliest;
}

/** The index of the largest value, the first of equal ones. */
function largestAt(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/** The token at which the cumulative probability exceeds `uniform`, in [0, 1); sums in f64. */
function drawn(logits: Float32Array, uniform: number): number {
  const largest = logits[largestAt(logits)]!;
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  let left = uniform * total;
  let last = 0;
  for (let id = 0; id < logits.length; id++) {
    const weight = Math.exp(logits[id]! - largest);
    if (weight > 0) last = id;
    if (left < weight) return id;
    left -= weight;
  }
  // Rounding may leave a little behind the last token.
  return last;
}
