import type { ComparedPair } from '../../model/comparison.ts';
import type { UpdatePair } from './compareUpdates.ts';

interface PairSums {
  readonly first: number;
  readonly second: number;
  inner: number;
  /** Overlaps in the layers to which both add something. */
  readonly left: number[];
  readonly right: number[];
}

/** The totals of a comparison over all layers. */
export class ComparisonTotals {
  /** Squared norms, by adapter. */
  readonly squares: number[];
  private readonly sums = new Map<string, PairSums>();

  constructor(count: number) {
    this.squares = Array<number>(count).fill(0);
    for (let first = 0; first < count; first++)
      for (let second = first + 1; second < count; second++)
        this.sums.set(`${first} ${second}`, { first, second, inner: 0, left: [], right: [] });
  }

  add(index: number, norm: number): void {
    this.squares[index]! += norm * norm;
  }

  addPair({ first, second, inner, overlapLeft, overlapRight }: UpdatePair): void {
    const pair = this.sums.get(`${first} ${second}`)!;
    pair.inner += inner;
    if (overlapLeft !== null) pair.left.push(overlapLeft);
    if (overlapRight !== null) pair.right.push(overlapRight);
  }

  /** For each pair, the cosine over all weights and the mean overlaps; null for adapters without a common layer. */
  pairs(): ComparedPair[] {
    return [...this.sums.values()].map(({ first, second, inner, left, right }) => {
      const norms = Math.sqrt(this.squares[first]! * this.squares[second]!);
      const cosine = left.length > 0 ? Math.max(-1, Math.min(1, inner / norms)) : null;
      return { first, second, cosine, overlapLeft: mean(left), overlapRight: mean(right) };
    });
  }
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}
