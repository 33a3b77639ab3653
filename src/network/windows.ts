import { createHash } from 'node:crypto';
import { RankscopeError } from '../base/errors.ts';

/** The longest window by default, in tokens. */
const LONGEST = 2048;

/** The windows of a text, and what became of its tokens. */
export interface Windows {
  /** Token ids, each window as long as `context`. */
  readonly windows: readonly Int32Array[];
  /** Tokens of a window, with its start token. */
  readonly context: number;
  /** Tokens of the text that are in no window. */
  readonly dropped: number;
}

export interface WindowOptions {
  /** The file that the tokens come from, for errors. */
  readonly subject: string;
  /** Stands in front of every window; undefined if the tokenizer adds none. */
  readonly start?: number | undefined;
  /** Positions that the model was made for. */
  readonly modelContext: number;
  /** Tokens of a window; by default those of the model's context, at most 2048, and no more than `tokens`. */
  readonly context?: number | undefined;
  /** The most tokens in all windows together, start tokens included; no limit by default. */
  readonly tokens?: number | undefined;
}

/**
 * Cuts the tokens of a text into windows without overlap; the remainder is dropped.
 * @param ids of the whole text, without start and end tokens.
 * @throws RankscopeError 'wrong-use' for fewer tokens than a window takes, or a window that the model is not made for
 */
export function windowsOf(ids: Int32Array, options: WindowOptions): Windows {
  const { subject, start, modelContext, tokens = Number.POSITIVE_INFINITY } = options;
  const context = options.context ?? Math.min(modelContext, LONGEST, tokens);
  if (context > modelContext)
    throw new RankscopeError(
      'wrong-use',
      'context',
      `a window of ${context} tokens is longer than the model's context of ${modelContext}`,
      'Give a shorter one',
    );
  if (context < 2 || !Number.isSafeInteger(context))
    throw new RankscopeError('wrong-use', 'context', `${context} tokens`, 'A window takes at least 2');
  if (tokens < context)
    throw new RankscopeError(
      'wrong-use',
      'tokens',
      `${tokens} tokens are less than a window of ${context}`,
      'Allow more tokens, or shorter windows',
    );
  const taken = start === undefined ? context : context - 1;
  const count = Math.min(Math.floor(ids.length / taken), Math.floor(tokens / context));
  if (count === 0)
    throw new RankscopeError(
      'wrong-use',
      subject,
      ids.length === 0 ? 'it has no tokens' : `it has ${ids.length} tokens, fewer than the ${taken} of a window`,
      `Give a longer text${ids.length > 1 ? ', or shorter windows (context)' : ''}`,
    );
  const windows = Array.from({ length: count }, (_, k) => {
    const own = ids.subarray(k * taken, (k + 1) * taken);
    return start === undefined ? own : Int32Array.of(start, ...own);
  });
  return { windows, context, dropped: ids.length - count * taken };
}

/** Tokens of all windows, with their start tokens. */
export function tokensIn(windows: readonly ArrayLike<number>[]): number {
  return windows.reduce((sum, { length }) => sum + length, 0);
}

/** SHA-256, in hex, of all ids as 32-bit numbers, and the windows' lengths. */
export function digestOfWindows(windows: readonly Int32Array[]): string {
  const hash = createHash('sha256');
  for (const window of windows) {
    hash.update(`${window.length}:`);
    hash.update(new Uint8Array(Int32Array.from(window).buffer));
  }
  return hash.digest('hex');
}
