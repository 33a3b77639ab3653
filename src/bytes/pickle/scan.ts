import { RankscopeError } from '../../base/errors.ts';
import { Allowance } from '../allowance.ts';
import { MAX_SCAN_MEMORY, MAX_SCANNED_BYTES, MAX_SCANNED_PICKLES } from '../limits.ts';
import type { ByteSource } from '../source/byteSource.ts';
import { PickleSequence } from './sequence.ts';
import type { Seen } from './state.ts';

/** A pickle of protocol 2 to 5: the protocol, then an opcode that can start a pickle of a container or an object. */
export function isPickle(head: Uint8Array): boolean {
  const [mark, protocol = 0, next = 0] = head;
  return (
    mark === 0x80 &&
    protocol >= 2 &&
    protocol <= 5 &&
    (next === 0x95 || '}](cX\x8a\x8c'.includes(String.fromCharCode(next)))
  );
}

/**
 * Scans the pickles from byte `at` of `source` to its end, for what they would import. They do not belong to the
 * checkpoint, but a program that keeps reading would run them. Bytes that are no pickle end the scan: nothing after
 * them can be loaded from there on. Notes in `seen` if there is more than the limits on bytes, memory and number allow.
 */
export async function scanPickles(
  source: ByteSource,
  at: number,
  seen: Seen,
  signal: AbortSignal | undefined,
): Promise<void> {
  // The values are dropped, so an allowance of its own keeps a scan from failing a checkpoint that fits.
  const allowance = new Allowance(source.name, MAX_SCAN_MEMORY);
  const pickles = new PickleSequence(source, { ...seen, persistents: [], inlined: [], allowance }, signal);
  pickles.at = at;
  try {
    for (let count = 0; pickles.at < source.size; count++) {
      if (count >= MAX_SCANNED_PICKLES || pickles.at - at > MAX_SCANNED_BYTES) {
        seen.hasUnscanned = true;
        return;
      }
      await pickles.next();
    }
  } catch (error) {
    if (!(error instanceof RankscopeError) || error.code === 'cancelled') throw error;
    if (error.code !== 'malformed') seen.hasUnscanned = true;
  }
}
