import type { Matrix } from '../../model/matrix.ts';

/** The pending matrices: those that the user is looking at first, then the others in their order. */
export class WorkList {
  private readonly pending: Map<string, Matrix>;
  // Prioritized names; finished ones are skipped.
  private wished: string[] = [];

  private readonly onWish: Map<string, Matrix>;

  /** @param onWish matrices that are only given out if they are prioritized. */
  constructor(matrices: Iterable<Matrix>, onWish: Iterable<Matrix> = []) {
    this.pending = byName(matrices);
    this.onWish = byName(onWish);
  }

  get size(): number {
    return this.pending.size;
  }

  prioritize(names: readonly string[]): void {
    this.wished = names.filter((name) => this.pending.has(name) || this.onWish.has(name));
  }

  /** Removes a matrix; false if it is not pending. */
  drop(name: string): boolean {
    this.onWish.delete(name);
    return this.pending.delete(name);
  }

  /** Removes and returns the next matrix. */
  next(): Matrix | undefined {
    let matrix: Matrix | undefined;
    while (!matrix && this.wished.length > 0) {
      const name = this.wished.shift() ?? '';
      matrix = this.pending.get(name) ?? this.onWish.get(name);
    }
    matrix ??= this.pending.values().next().value;
    if (matrix) this.drop(matrix.name);
    return matrix;
  }
}

const byName = (matrices: Iterable<Matrix>) => new Map([...matrices].map((matrix) => [matrix.name, matrix]));
