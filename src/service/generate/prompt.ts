import { basename } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import type { GenerateRequest } from '../../model/generation.ts';
import type { Network } from '../../network/network.ts';
import { openTokenizer } from '../../network/tokenizer/openTokenizer.ts';
import { readTokenIds } from '../../network/tokenizer/tokenIds.ts';
import type { Tokenizer } from '../../network/tokenizer/tokenizer.ts';

export interface Prompt {
  /** At least one, each of which the embedding has. */
  readonly ids: readonly number[];
  readonly text: string | null;
  /** What makes a text of ids; undefined if nothing does. */
  readonly tokenizer: Tokenizer | undefined;
  /** What encoded the prompt, for people. */
  readonly source: string;
}

/**
 * Encodes the prompt with the checkpoint's tokenizer, or reads its ids.
 * @throws RankscopeError 'wrong-use' for an empty prompt, one that leaves no room in the model's context, or ids that
 *   the embedding lacks; 'not-found' without a tokenizer; 'cancelled'
 */
export async function readPrompt(
  checkpoint: Checkpoint,
  network: Network,
  request: Pick<GenerateRequest, 'prompt' | 'ids'>,
  signal: AbortSignal | undefined,
): Promise<Prompt> {
  const { origin, ...prompt } = request.ids === undefined ? await encoded() : await given(request.ids);
  const { context } = network.decoder;
  if (prompt.ids.length >= context)
    throw new RankscopeError(
      'wrong-use',
      'prompt',
      `it has ${prompt.ids.length} tokens, and the context of ${checkpoint.path} is ${context}, with the continuation`,
      'Give a shorter one',
    );
  const { weights, prefix, modules } = network;
  const rows = weights.linear(prefix + modules.embedding).outputs;
  const lacking = prompt.ids.find((id) => id >= rows);
  if (lacking !== undefined)
    throw new RankscopeError(
      'wrong-use',
      origin,
      `it gives token ${lacking}, and the embedding of ${weights.subject} has ${rows} rows`,
      'Use the tokenizer of this model',
    );
  return prompt;

  async function encoded(): Promise<PromptOrigin> {
    const { prompt: text } = request;
    if (text === undefined || text === '')
      throw new RankscopeError(
        'wrong-use',
        'prompt',
        text === undefined ? 'it is missing' : 'it is empty',
        'Give the begin of a text, or a file of token ids',
      );
    const tokenizer = await openTokenizer(checkpoint, signal);
    const ids = [...(await tokenizer.encode(text, { signal, specialTokens: true }))];
    if (tokenizer.addsStart && ids[0] !== tokenizer.start) ids.unshift(tokenizer.start!);
    if (ids.length === 0)
      throw new RankscopeError('wrong-use', 'prompt', `${JSON.stringify(text)} has no tokens`, 'Give a longer one');
    return { ids, text, tokenizer: decoding(tokenizer), source: tokenizer.kind, origin: tokenizer.file };
  }

  async function given(file: string): Promise<PromptOrigin> {
    const ids = [...(await readTokenIds(file, signal))];
    const tokenizer = await openTokenizer(checkpoint, signal).then(decoding, (error: unknown) => {
      if (error instanceof RankscopeError && error.code !== 'cancelled') return undefined;
      throw error;
    });
    return { ids, text: tokenizer?.decode(ids) ?? null, tokenizer, source: `ids in ${basename(file)}`, origin: file };
  }
}

/** A prompt, and the file that is wrong if the embedding lacks one of its ids. */
type PromptOrigin = Prompt & { readonly origin: string };

/** The tokenizer, unless its file describes a way to text that is not known. */
function decoding(tokenizer: Tokenizer): Tokenizer | undefined {
  try {
    tokenizer.decode([]);
    return tokenizer;
  } catch (error) {
    if (error instanceof RankscopeError) return undefined;
    throw error;
  }
}
