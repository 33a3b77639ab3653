import type { Random } from '../../base/random.ts';
import { continueBySampling } from './continuePrompt.ts';
import type { ResidentNetwork } from './residentNetwork.ts';

export interface SampleOptions {
  readonly random: Random;
  /** The begins of texts, taken in turn; each at least one token. */
  readonly starts: readonly (readonly number[])[];
  /** The tokens wanted. */
  readonly tokens: number;
  /** The most of one text, with its start. */
  readonly longest: number;
  /** Tokens that end a text; the next one then begins. */
  readonly ends: ReadonlySet<number>;
  /** Whether there is still time; asked before each text. */
  readonly isTime?: (() => boolean) | undefined;
  /** Receives the number of tokens so far. */
  readonly progress?: ((tokens: number) => void) | undefined;
}

/** Texts that the network writes by itself, one behind the other, at temperature 1. */
export async function sampleText(resident: ResidentNetwork, options: SampleOptions): Promise<Int32Array> {
  const { random, starts, tokens, longest, ends, isTime, progress } = options;
  const ids: number[] = [];
  for (let k = 0; ids.length < tokens && (isTime?.() ?? true); k++) {
    const start = starts[k % starts.length]!;
    const before = ids.length + start.length;
    let count = 0;
    const { ids: own } = await continueBySampling(random, resident, start, {
      tokens: Math.max(1, Math.min(longest - start.length, tokens - before)),
      ends,
      onToken: () => progress?.(before + ++count),
    });
    for (const id of [...start, ...own]) ids.push(id);
  }
  return Int32Array.from(ids.slice(0, tokens));
}
