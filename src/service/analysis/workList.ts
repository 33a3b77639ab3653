import type { MatrixRef } from '../../model/names/anatomy.ts';

/** What is left to do, in the checkpoint's order by layers, with what somebody looks at first. */
export class WorkList {
  private readonly pending: Map<string, MatrixRef>;
  // Names asked for, the latest wish first; those that are done already are passed over.
  private wished: string[] = [];

  constructor(matrices: Iterable<MatrixRef>) {
    this.pending = new Map([...matrices].map((matrix) => [matrix.name, matrix]));
  }

  get size(): number {
    return this.pending.size;
  }

  prioritize(names: readonly string[]): void {
    this.wished = names.filter((name) => this.pending.has(name));
  }

  /** Takes the next matrix out. */
  next(): MatrixRef | undefined {
    let matrix: MatrixRef | undefined;
    while (!matrix && this.wished.length > 0) matrix = this.pending.get(this.wished.shift() ?? '');
    matrix ??= this.pending.values().next().value;
    if (matrix) this.pending.delete(matrix.name);
    return matrix;
  }
}

/** Layer by layer, what stands outside the layers (embeddings, head) last: it is the largest, and says least about the layers. */
export function byLayer(matrices: readonly MatrixRef[]): MatrixRef[] {
  const place = ({ layer }: MatrixRef) => layer ?? Number.POSITIVE_INFINITY;
  // Infinity minus infinity is no order, hence the comparison; the sort is stable.
  return [...matrices].sort((a, b) => (place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0));
}
