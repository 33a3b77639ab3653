import type { Matrix } from '../../model/matrix.ts';

/** The pending matrices: those that the user is looking at first, then the others in their order. */
export class WorkList {
  private readonly pending: Map<string, Matrix>;
  // Prioritized names; finished ones are left out.
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

  /** Removes and returns the next matrix, of those that fit. */
  next(fits: (matrix: Matrix) => boolean = () => true): Matrix | undefined {
    const matrix = this.nextWished(fits) ?? this.nextPending(fits);
    if (matrix) this.drop(matrix.name);
    return matrix;
  }

  private nextPending(fits: (matrix: Matrix) => boolean): Matrix | undefined {
    for (const matrix of this.pending.values()) if (fits(matrix)) return matrix;
    return undefined;
  }

  private nextWished(fits: (matrix: Matrix) => boolean): Matrix | undefined {
    this.wished = this.wished.filter((name) => this.pending.has(name) || this.onWish.has(name));
    const matrices = this.wished.map((name) => this.pending.get(name) ?? this.onWish.get(name)!);
    return matrices.find(fits);
  }
}

const byName = (matrices: Iterable<Matrix>) => new Map([...matrices].map((matrix) => [matrix.name, matrix]));
