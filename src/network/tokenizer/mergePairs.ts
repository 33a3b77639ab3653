/** Which neighbouring symbols merge. */
export interface Pairs {
  /** The number of the merge of these two symbols; -1 if they do not merge. */
  find(left: number, right: number): number;
  /** The rank of a merge, an integer below 2^22: the lowest comes first, and of equal ones the leftmost. */
  rankOf(merge: number): number;
  /** The symbol that a merge makes. */
  symbolOf(merge: number): number;
}

const GONE = -1;
const POSITIONS = 2 ** 31;

/**
 * Byte-pair encoding (Sennrich, Haddow, Birch 2016): merges the best pair of neighbours until none is left. A heap of
 * rank and position makes it n log n; an entry whose pair has changed since is recognized by its rank.
 */
export function mergePairs(symbols: Int32Array, pairs: Pairs): Int32Array {
  const count = symbols.length;
  const next = Int32Array.from(symbols, (_, at) => at + 1);
  const previous = Int32Array.from(symbols, (_, at) => at - 1);
  const heap = new NumberHeap();
  const offer = (at: number) => {
    const merge = next[at]! < count ? pairs.find(symbols[at]!, symbols[next[at]!]!) : -1;
    if (merge >= 0) heap.push(pairs.rankOf(merge) * POSITIONS + at);
  };
  for (let at = 0; at < count; at++) offer(at);
  for (let entry = heap.pop(); entry !== undefined; entry = heap.pop()) {
    const rank = Math.floor(entry / POSITIONS);
    const at = entry - rank * POSITIONS;
    const right = next[at]!;
    if (symbols[at] === GONE || right >= count) continue;
    const merge = pairs.find(symbols[at]!, symbols[right]!);
    if (merge < 0 || pairs.rankOf(merge) !== rank) continue;
    symbols[at] = pairs.symbolOf(merge);
    symbols[right] = GONE;
    next[at] = next[right]!;
    if (next[at]! < count) previous[next[at]!] = at;
    if (previous[at]! >= 0) offer(previous[at]!);
    offer(at);
  }
  return symbols.filter((symbol) => symbol !== GONE);
}

/** A binary heap of numbers, the smallest first. */
class NumberHeap {
  private readonly items: number[] = [];

  push(item: number): void {
    const { items } = this;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]! <= item) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const { items } = this;
    const least = items[0];
    const item = items.pop();
    if (item === undefined || items.length === 0) return least;
    let at = 0;
    for (let child = 1; child < items.length; child = 2 * at + 1) {
      if (child + 1 < items.length && items[child + 1]! < items[child]!) child++;
      if (items[child]! >= item) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = item;
    return least;
  }
}
