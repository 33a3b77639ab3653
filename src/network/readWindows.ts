import { basename } from 'node:path';
import { RankscopeError } from '../base/errors.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { TextFacts, TextRequest } from '../model/evaluation.ts';
import type { Network } from './network.ts';
import { scoredTokens } from './score.ts';
import { openTokenizer } from './tokenizer/openTokenizer.ts';
import { readText } from './tokenizer/readText.ts';
import { readTokenIds } from './tokenizer/tokenIds.ts';
import type { Tokenizer } from './tokenizer/tokenizer.ts';
import { windowsOf } from './windows.ts';

/** A text as a network reads it. */
export interface TextWindows {
  readonly windows: readonly Int32Array[];
  readonly facts: TextFacts;
  /** What to know about its tokens, one sentence each. */
  readonly notes: readonly string[];
}

interface Tokens {
  readonly file: string;
  readonly ids: Int32Array;
  readonly start: number | undefined;
  readonly tokenizer: string;
  /** The file that is wrong if an id has no row in the embedding. */
  readonly origin: string;
  /** The largest id of the tokenizer plus one, if it is known. */
  readonly vocabularySize?: number;
}

/**
 * Encodes a text with the tokenizer of the checkpoint, or reads the ids that another tokenizer made of it, and cuts it
 * into windows.
 * @param contextFor the length of a window that is not asked for, from the tokens of the whole text
 * @throws RankscopeError 'wrong-use' for a text shorter than a window, or ids that the embedding lacks; 'malformed' for
 *   a file that is no text; 'not-found' without a tokenizer; 'cancelled'
 */
export async function readWindows(
  checkpoint: Checkpoint,
  network: Network,
  request: TextRequest,
  signal?: AbortSignal,
  contextFor?: (tokens: number) => number,
): Promise<TextWindows> {
  const tokens = await readTokens(checkpoint, request, signal);
  const { file, ids, start, tokenizer } = tokens;
  const { windows, context, dropped } = windowsOf(ids, {
    subject: file,
    start,
    modelContext: network.decoder.context,
    context: request.context ?? contextFor?.(ids.length),
    tokens: request.tokens,
  });
  return {
    windows,
    notes: checkVocabulary(tokens, windows, network),
    facts: {
      name: basename(file),
      tokens: ids.length,
      windows: windows.length,
      context,
      scored: scoredTokens(windows),
      dropped,
      startToken: start ?? null,
      tokenizer,
    },
  };
}

async function readTokens(checkpoint: Checkpoint, request: TextRequest, signal?: AbortSignal): Promise<Tokens> {
  const { text: file, ids: idsFile } = request;
  if (idsFile !== undefined) return givenTokens(checkpoint, idsFile, signal);
  if (file === undefined)
    throw new RankscopeError('wrong-use', checkpoint.path, 'no text is given', 'Name a file of text or of token ids');
  const text = await readText(file, signal);
  const tokenizer = await openTokenizer(checkpoint, signal);
  const { addsStart, start, kind, vocabularySize } = tokenizer;
  return {
    file,
    ids: await tokenizer.encode(text, { signal }),
    start: addsStart ? start : undefined,
    tokenizer: kind,
    origin: tokenizer.file,
    vocabularySize,
  };
}

/** The start token is that of the checkpoint's tokenizer, or else of its configuration if the ids begin with it. */
async function givenTokens(checkpoint: Checkpoint, file: string, signal?: AbortSignal): Promise<Tokens> {
  const ids = await readTokenIds(file, signal);
  const tokenizer = await openTokenizer(checkpoint, signal).catch((error: unknown): Tokenizer | undefined => {
    if (error instanceof RankscopeError && error.code !== 'cancelled') return undefined;
    throw error;
  });
  const usual = checkpoint.configuration?.bos_token_id;
  const start = tokenizer?.addsStart ? tokenizer.start : ids[0] === usual ? ids[0] : undefined;
  return {
    file,
    ids: start !== undefined && ids[0] === start ? ids.subarray(1) : ids,
    start,
    tokenizer: `ids in ${basename(file)}`,
    origin: file,
  };
}

/** @returns a note where the tokenizer is far smaller than the embedding. */
function checkVocabulary(
  { origin, vocabularySize }: Tokens,
  windows: readonly Int32Array[],
  network: Network,
): string[] {
  const { weights, prefix, modules } = network;
  const rows = weights.linear(prefix + modules.embedding).outputs;
  for (const window of windows)
    for (const id of window)
      if (id >= rows)
        throw new RankscopeError(
          'wrong-use',
          origin,
          `it gives token ${id}, and the embedding of ${weights.subject} has ${rows} rows`,
          'Use the tokenizer of this model',
        );
  if (vocabularySize === undefined || 2 * vocabularySize >= rows) return [];
  return [
    `The tokenizer has ${vocabularySize} tokens and the embedding ${rows} rows: check that they belong to one model.`,
  ];
}
