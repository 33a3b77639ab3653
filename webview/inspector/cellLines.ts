import type { MatrixFinding } from '../../src/model/findings.ts';
import { type ExpertGroup, groupAt } from '../charts/layout.ts';
import { cellText, groupText, shapeText } from './cellText.ts';
import { measureById } from './measures.ts';
import type { Model, ViewState } from './state.ts';

/** The findings of those experts of a group that are known, by expert. */
export function findingsOf({ layout, findings }: Model, { members }: ExpertGroup): MatrixFinding[] {
  return members.flatMap((member) => findings.get(layout.matrices[member]!.name) ?? []);
}

/** Where W and W X part, whichever measure is shown; nothing without statistics. */
function partedLine(finding: MatrixFinding | undefined): string[] {
  if (!finding?.activations) return [];
  const [own, seen] = [finding.energyRanks['0.95'], finding.activations.energyRanks['0.95']];
  return [`95 % of the energy: rank ${own} of W, rank ${seen} of W X`];
}

/** A cell in words, its name first: for tooltips and screen readers. */
export function linesOf(model: Model, view: ViewState, index: number): string[] {
  const { layout, findings, skipped, ranks } = model;
  const measure = measureById(view.measure);
  const group = groupAt(layout, index);
  if (group) {
    const text = groupText(group, findingsOf(model, group), measure, view.basis);
    const shape = shapeText(layout.matrices[group.members[0]!]!);
    const lines = [group.name, `${group.members.length} experts of ${shape}`, `${measure.label}: ${text.value}`];
    return [...lines, ...(text.spread ? [text.spread] : []), text.status];
  }
  const matrix = layout.matrices[index]!;
  const text = cellText(matrix, findings.get(matrix.name), skipped.get(matrix.name), measure, view.basis);
  const rank = Object.hasOwn(ranks, matrix.name) ? [`Rank set by hand: ${ranks[matrix.name]}`] : [];
  const parted = partedLine(findings.get(matrix.name));
  return [matrix.name, shapeText(matrix), `${measure.label}: ${text.value}`, text.status, ...parted, ...rank];
}
