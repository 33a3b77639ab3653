import type { Matrix } from '../../model/matrix.ts';

/** The pending matrices: those that the user is looking at first, then the others in their order. */
export class WorkList {
  private readonly pending: Map<string, Matrix>;
  // Prioritized names; finished ones are left out.
  private wished: string[] = [];

  private readonly onWish: Map<string, Matrix>;
  /** Given out, but not finished. */
  private readonly taken = new Set<Matrix>();

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
    if (matrix) {
      this.drop(matrix.name);
      this.taken.add(matrix);
    }
    return matrix;
  }

  /** To be called when nothing more is done with a matrix that `next` gave out. */
  finish(matrix: Matrix): void {
    this.taken.delete(matrix);
  }

  /** Whether the matrices beside this one that are given out or pending take at least `wanted` together. */
  hasBeside(matrix: Matrix, wanted: number, workOf: (matrix: Matrix) => number): boolean {
    let left = wanted;
    for (const some of [this.taken, this.pending.values()]) {
      for (const other of some) {
        if (left <= 0) return true;
        if (other !== matrix) left -= workOf(other);
      }
    }
    return left <= 0;
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
