import { freemem } from 'node:os';
import process from 'node:process';
import { RankscopeError } from '../../base/errors.ts';
import { formatBytes } from '../../base/quantities.ts';
import { countParameters } from '../../checkpoint/ties.ts';
import type { Backend } from '../../devices/backend.ts';
import type { Agreement, Continuation, Generation } from '../../model/generation.ts';
import { measureRepetition } from '../../model/repetition.ts';
import { type Continued, continueGreedily, likeliestTokens } from '../../network/generation/continuePrompt.ts';
import { endTokens } from '../../network/generation/endTokens.ts';
import { ResidentNetwork } from '../../network/generation/residentNetwork.ts';
import type { Network } from '../../network/network.ts';
import { TextStream } from '../../network/tokenizer/decoding/textStream.ts';
import type { Variant } from '../../network/variant.ts';
import type { StepProgress } from '../../protocol/service.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { GenerationProgress } from './generationProgress.ts';
import type { Prompt } from './prompt.ts';

/** What a network, and a variant if there is one, continues. */
export interface ContinuationTask {
  readonly opened: Opened;
  readonly network: Network;
  readonly prompt: Prompt;
  /** The most tokens to add. */
  readonly tokens: number;
  readonly variant: Variant | undefined;
  /** The checkpoint of the variant, if it is another. */
  readonly file?: Opened | undefined;
  readonly signal: AbortSignal | undefined;
  readonly progress: ((value: StepProgress) => void) | undefined;
}

const NAMES = { dense: 'the dense network' } as const;

/**
 * Continues the prompt with the dense network and then with the variant, one after the other: a device holds the
 * weights of one of them at a time, and the cache of keys and values.
 * @throws RankscopeError 'too-large' with the bytes of a network that does not fit, 'not-finite', 'cancelled'
 */
export async function continueBeside(backend: Backend, task: ContinuationTask): Promise<Generation> {
  const { opened, network, prompt, variant, signal } = task;
  const room = network.decoder.context - prompt.ids.length;
  const tokens = Math.min(task.tokens, room);
  const ends = await endTokens(opened.checkpoint, signal);
  const steps = new GenerationProgress(variant ? 2 : 1, tokens, task.progress);
  const continued = async (own: Variant | undefined, checkpoint: Opened, reference: readonly number[] | undefined) => {
    const name = own?.name ?? NAMES.dense;
    const options = { variant: own, signal, progress: (share: number) => steps.reading(name, share) };
    const resident = await loadResident(backend, network, checkpoint, prompt.ids.length + tokens, options);
    try {
      const stream = prompt.tokenizer && new TextStream(prompt.tokenizer, prompt.ids);
      const onToken = steps.continuing(name, stream);
      const found = await continueGreedily(resident, prompt.ids, { tokens, ends, onToken });
      // What it chooses behind the dense text: the last token of that needs no pass.
      const choices =
        reference &&
        (await likeliestTokens(resident, [...prompt.ids, ...reference].slice(0, -1), prompt.ids.length - 1));
      steps.finish();
      return { found, choices };
    } finally {
      resident.free();
    }
  };
  const dense = await continued(undefined, opened, undefined);
  const other = variant && (await continued(variant, task.file ?? opened, dense.found.ids));
  return {
    format: 'rankscope.generation/1',
    path: opened.checkpoint.path,
    prompt: { text: prompt.text, ids: prompt.ids },
    tokens: task.tokens,
    tokenizer: prompt.source,
    dense: described(prompt, dense.found),
    variant: other ? { name: variant.name, ...described(prompt, other.found) } : null,
    agreement: other ? agreementOf(dense.found.ids, other.found.ids, other.choices!) : null,
    engine: backend.info,
    notes: [
      ...(tokens < task.tokens
        ? [`The context of ${network.decoder.context} tokens leaves room for ${tokens} tokens behind the prompt.`]
        : []),
      ...(ends.size === 0 ? ['Nothing says which token ends a text of this model.'] : []),
    ],
  };
}

/** @throws RankscopeError 'too-large' with the bytes of a network that does not fit; what reading the weights throws */
export async function loadResident(
  backend: Backend,
  network: Network,
  { checkpoint, ties }: Opened,
  positions: number,
  options: NonNullable<Parameters<typeof ResidentNetwork.load>[2]>,
): Promise<ResidentNetwork> {
  const cached = network.decoder.layers.reduce(
    (sum, { attention }) => sum + attention.keyHeads * attention.headSize,
    0,
  );
  const numbers = countParameters(checkpoint.tensors, ties()) + 2 * positions * cached;
  const bytes = Float32Array.BYTES_PER_ELEMENT * numbers;
  const refuse = (why: string, cause?: unknown) =>
    new RankscopeError(
      'too-large',
      checkpoint.path,
      `generating text keeps the whole network in memory, some ${formatBytes(bytes)}, and ${why}`,
      'Measure the perplexity instead (rankscope evaluate), which takes the memory of one block',
      { cause },
    );
  const free = backend.info.name === 'cpu' ? (process.availableMemory?.() ?? freemem()) : Number.POSITIVE_INFINITY;
  const most = Math.min(backend.capacity, free);
  if (bytes > most) throw refuse(`the ${backend.info.name} engine has ${formatBytes(most)}`);
  try {
    return await ResidentNetwork.load(network, backend, options);
  } catch (error) {
    if (!(error instanceof RankscopeError && error.code === 'too-large')) throw error;
    throw refuse(`the ${backend.info.name} engine has no more (${error.message})`, error);
  }
}

function described({ ids: before, tokenizer }: Prompt, { ids, ended, promptSeconds, seconds }: Continued) {
  const textOf = (run: readonly number[]) => tokenizer?.decode(run) ?? null;
  return {
    text: continuedText(textOf, before, ids),
    ids,
    ended,
    repetition: measureRepetition(ids, textOf),
    promptSeconds,
    tokensPerSecond: ids.length > 1 ? (ids.length - 1) / seconds : null,
  } satisfies Continuation;
}

/** The text behind the prompt: whether a space leads it depends on what is before. */
function continuedText(
  textOf: (ids: readonly number[]) => string | null,
  before: readonly number[],
  ids: readonly number[],
): string | null {
  const [prompt, whole] = [textOf(before), textOf([...before, ...ids])];
  if (prompt === null || whole === null) return null;
  return whole.startsWith(prompt) ? whole.slice(prompt.length) : textOf(ids);
}

/** @param choices What the variant finds most likely at each place of the dense text. */
function agreementOf(dense: readonly number[], variant: readonly number[], choices: readonly number[]): Agreement {
  const total = Math.max(dense.length, variant.length);
  const differs = (at: number) => dense[at] !== variant[at];
  const places = Array.from({ length: total }, (_, at) => at);
  return {
    firstDivergence: places.find(differs) ?? null,
    equalShare: places.filter((at) => !differs(at)).length / total,
    sameChoiceShare: dense.filter((id, at) => id === choices[at]).length / dense.length,
  };
}
