import type { Evaluation, VariantEvaluation } from '../../src/model/evaluation.ts';

/** One measured variant, with the run it comes from. */
export interface Measured {
  /** Unique on the page. */
  readonly id: string;
  readonly variant: VariantEvaluation;
  readonly evaluation: Evaluation;
}

/** All runs over the same tokens of one text; only their numbers can be compared. */
export interface TextRuns {
  readonly key: string;
  /** Oldest first. */
  readonly runs: readonly Evaluation[];
  /** What was measured last under each name. */
  readonly measured: readonly Measured[];
}

/**
 * How far the dense losses of two runs over the same tokens may lie apart: f32 on two machines, or in another library,
 * differs by less than a thousandth of this.
 */
const SAME_LOSS = 1e-3;

/** Puts the runs over the same tokens together, in the order in which each text was first measured. */
export function textsOf(evaluations: readonly Evaluation[]): TextRuns[] {
  const texts: Evaluation[][] = [];
  for (const evaluation of evaluations) {
    const known = texts.find(([first]) => isSameText(first!, evaluation));
    if (known) known.push(evaluation);
    else texts.push([evaluation]);
  }
  return texts.map((runs, index) => ({ key: `${index} ${runs[0]!.text.name}`, runs, measured: measuredIn(runs) }));
}

/**
 * Whether two runs scored the same tokens. The file's name and counts alone would also match another text of the same
 * length, so the loss of the dense model must agree as well.
 */
export function isSameText(one: Evaluation, other: Evaluation): boolean {
  const same = (['name', 'tokens', 'windows', 'context', 'scored', 'startToken'] as const).every(
    (fact) => one.text[fact] === other.text[fact],
  );
  return same && Math.abs(one.dense.loss - other.dense.loss) <= SAME_LOSS * Math.max(1, Math.abs(one.dense.loss));
}

/** A variant that is measured again replaces the point of its earlier run. */
function measuredIn(runs: readonly Evaluation[]): Measured[] {
  const measured = new Map<string, Measured>();
  for (const evaluation of runs) {
    for (const variant of evaluation.variants) {
      const { kind, name, size, predictedError } = variant;
      const id = JSON.stringify([evaluation.source, kind, name, size.parametersOfModel, predictedError]);
      measured.delete(id);
      measured.set(id, { id, variant, evaluation });
    }
  }
  return [...measured.values()].sort(
    (a, b) => KINDS.indexOf(a.variant.kind) - KINDS.indexOf(b.variant.kind) || rankOf(a) - rankOf(b),
  );
}

const KINDS: readonly VariantEvaluation['kind'][] = ['rank', 'plan', 'file'];

/** Ranks in their order; plans and files keep that in which they were measured. */
const rankOf = ({ variant }: Measured): number => (variant.kind === 'rank' ? (variant.rank ?? 0) : 0);

/** The name of a text for a list, with what tells it from others of that name. */
export function textTitle({ text: { name, windows, context }, dense }: Evaluation): string {
  return `${name} (${windows} × ${context} tokens, dense ${dense.perplexity.toPrecision(4)})`;
}
