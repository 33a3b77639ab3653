import type { Provenance } from '../../model/findings.ts';
import type { Matrix } from '../../model/matrix.ts';
import type { AnalyzeRequest } from '../../protocol/service.ts';
import { isExactAtOnce } from '../../spectrum/preview.ts';
import { inTurn, type Round } from './order.ts';
import { WorkList } from './workList.ts';

/** How well a matrix is known, from the first value with a wide band on. */
export type Accuracy = 'coarse' | Provenance;

const ACCURACIES: readonly Accuracy[] = ['coarse', 'preview', 'exact'];

export const reaches = (found: Accuracy | undefined, wanted: Accuracy): boolean =>
  found !== undefined && ACCURACIES.indexOf(found) >= ACCURACIES.indexOf(wanted);

/** How a finding of this accuracy is shown: a coarse one is a preview with a wider band. */
export const provenanceOf = (accuracy: Accuracy): Provenance => (accuracy === 'exact' ? 'exact' : 'preview');

/** One pass over the matrices that brings each to an accuracy. */
export interface Sweep {
  readonly accuracy: Accuracy;
  readonly work: WorkList;
}

/** What an analysis does: for each matrix the sweeps that it takes part in, and in which accuracy each leaves it. */
export class Schedule {
  readonly matrices: readonly Matrix[];
  /** Steps of all matrices together. */
  readonly total: number;
  private readonly rounds: ReadonlyMap<Matrix, Round>;

  constructor(
    matrices: readonly Matrix[],
    private readonly mode: NonNullable<AnalyzeRequest['mode']>,
  ) {
    this.rounds = inTurn(matrices);
    this.matrices = [...this.rounds.keys()];
    this.total = this.matrices.reduce((sum, matrix) => sum + this.sweepsOf(matrix).length, 0);
  }

  /**
   * The sweeps in which a matrix has a step. Of experts beyond the sample there is no coarse value unless someone looks
   * at them: the cell of their group has values already, and their previews need not wait for all those coarse values.
   */
  sweepsOf(matrix: Matrix): readonly Accuracy[] {
    if (this.mode !== 'both') return [this.mode];
    const sweeps = this.rounds.get(matrix) === 2 ? ACCURACIES.slice(1) : ACCURACIES;
    return this.isSettledAtOnce(matrix) ? sweeps.slice(0, 1) : sweeps;
  }

  /** The accuracy in which a sweep leaves a matrix. */
  accuracyIn(sweep: Accuracy, matrix: Matrix): Accuracy {
    return matrix.kind === 'update' || (this.mode === 'both' && this.isSettledAtOnce(matrix)) ? 'exact' : sweep;
  }

  sweeps(): Sweep[] {
    const accuracies = this.mode === 'both' ? ACCURACIES : [this.mode];
    return accuracies.map((accuracy) => {
      const takesPart = (matrix: Matrix) => this.sweepsOf(matrix).includes(accuracy);
      const onWish = accuracy === 'coarse' ? this.matrices.filter((matrix) => !takesPart(matrix)) : [];
      return { accuracy, work: new WorkList(this.matrices.filter(takesPart), onWish) };
    });
  }

  /**
   * Updates of adapters have few values, and an estimate would cost more. So it would of a small matrix, whose preview
   * is made of all its values.
   */
  private isSettledAtOnce(matrix: Matrix): boolean {
    return matrix.kind === 'update' || isExactAtOnce(matrix);
  }
}
