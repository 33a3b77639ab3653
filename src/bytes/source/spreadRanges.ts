import { seededRandom } from '../../base/random.ts';

/** The number of ranges and the length of each: they bound the sample of any tensor to some tens of reads. */
const RANGES = 48;
const LENGTH = 64;

/**
 * Ranges [start, count) that sample `total` things: all of them if they are few, otherwise spread over the whole, each
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
