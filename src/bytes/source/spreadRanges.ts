import { seededRandom } from '../../base/random.ts';

/** Ranges at most, and what each may hold: a bounded sample of any tensor, some tens of reads. */
const RANGES = 48;
const LENGTH = 64;

/**
 * Ranges [start, count) of a sample of `total` things: all of them where they are few, else spread over the whole, each
 * at a seeded random place of its part, because places at a fixed distance would follow the columns.
 */
export function spreadRanges(total: number): (readonly [start: number, count: number])[] {
  if (total <= RANGES * LENGTH) return total > 0 ? [[0, total]] : [];
  const random = seededRandom(1);
  const part = total / RANGES;
  return Array.from(
    { length: RANGES },
    (_, k) => [Math.floor(k * part + random.uniform() * (part - LENGTH)), LENGTH] as const,
  );
}
