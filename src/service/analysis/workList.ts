import type { Matrix } from '../../model/matrix.ts';

/** The pending matrices: those that the user is looking at first, then the others in their order. */
export class WorkList {
  private readonly pending: Map<string, Matrix>;
  // Prioritized names; finished ones are skipped.
  private wished: string[] = [];

  constructor(matrices: Iterable<Matrix>) {
    this.pending = new Map([...matrices].map((matrix) => [matrix.name, matrix]));
  }

  get size(): number {
    return this.pending.size;
  }

  prioritize(names: readonly string[]): void {
    this.wished = names.filter((name) => this.pending.has(name));
  }

  /** Removes a pending matrix; false if it is not pending. */
  drop(name: string): boolean {
    return this.pending.delete(name);
  }

  /** Removes and returns the next matrix. */
  next(): Matrix | undefined {
    let matrix: Matrix | undefined;
    while (!matrix && this.wished.length > 0) matrix = this.pending.get(this.wished.shift() ?? '');
    matrix ??= this.pending.values().next().value;
    if (matrix) this.pending.delete(matrix.name);
    return matrix;
  }
}
