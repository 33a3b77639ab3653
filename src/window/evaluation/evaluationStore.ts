import type { Evaluation } from '../../model/evaluation.ts';
import { Evaluations, type EvaluationsHost } from './evaluations.ts';

/** The evaluations of each checkpoint of this window. */
export class EvaluationStore {
  private readonly known = new Map<string, Evaluations>();

  constructor(private readonly host: EvaluationsHost) {}

  get(path: string): Evaluations {
    let evaluations = this.known.get(path);
    if (!evaluations) {
      evaluations = new Evaluations(path, this.host);
      this.known.set(path, evaluations);
    }
    return evaluations;
  }

  /**
   * Adds runs from a file to those of the checkpoint that they name; returns the path of the first. `shown` takes those
   * of a model of its size, whatever path they name: a run on another machine names another.
   */
  take(found: readonly [Evaluation, ...Evaluation[]], shown?: Evaluations): string {
    const sizes = shown?.snapshot().evaluations.map(({ checkpoint }) => checkpoint.parameters) ?? [];
    const fits = ({ checkpoint }: Evaluation) => sizes.length === 0 || sizes.includes(checkpoint.parameters);
    const homeOf = (one: Evaluation) => (shown && fits(one) ? shown : this.get(one.checkpoint.path));
    const homes = new Map<Evaluations, Evaluation[]>();
    for (const one of found) homes.set(homeOf(one), [...(homes.get(homeOf(one)) ?? []), one]);
    for (const [home, own] of homes) home.add(own);
    return homeOf(found[0]).path;
  }
}
