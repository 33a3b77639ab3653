import { freemem } from 'node:os';
import { RankscopeError } from '../../base/errors.ts';
import { formatBytes } from '../../base/quantities.ts';
import type { TextFacts } from '../../model/evaluation.ts';
import type { Network } from '../../network/network.ts';
import type { TextWindows } from '../../network/readWindows.ts';

/** The residual stream behind the last block, and what the head reads of it. */
const COPIES = 2;

/**
 * Refuses more tokens than memory holds: all of them pass a block, in every network, before the next one is read.
 * @param networks the dense one and its variants
 * @param free bytes that may be used
 * @throws RankscopeError 'too-large' with the bytes
 */
export function refuseTooManyTokens(
  { decoder, weights }: Network,
  { windows, facts }: Pick<TextWindows, 'windows'> & { readonly facts: Pick<TextFacts, 'context'> },
  networks: number,
  free = process.availableMemory?.() ?? freemem(),
): void {
  const tokens = windows.length * facts.context;
  const each = COPIES * networks * decoder.width * Float32Array.BYTES_PER_ELEMENT;
  if (tokens * each <= free) return;
  const most = Math.floor(free / each / 2);
  throw new RankscopeError(
    'too-large',
    weights.subject,
    `${tokens} tokens in ${networks} networks need ${formatBytes(tokens * each)}, and ${formatBytes(free)} are free`,
    most >= facts.context ? `Use at most ${most} tokens, or fewer variants` : 'Evaluate fewer variants at a time',
  );
}
