import type { Matrix } from '../../model/matrix.ts';

/** What is left to do, in the checkpoint's order by layers, with what somebody looks at first. */
export class WorkList {
  private readonly pending: Map<string, Matrix>;
  // Names asked for, the latest wish first; those that are done already are passed over.
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

  /** Takes the next matrix out. */
  next(): Matrix | undefined {
    let matrix: Matrix | undefined;
    while (!matrix && this.wished.length > 0) matrix = this.pending.get(this.wished.shift() ?? '');
    matrix ??= this.pending.values().next().value;
    if (matrix) this.pending.delete(matrix.name);
    return matrix;
  }
}
