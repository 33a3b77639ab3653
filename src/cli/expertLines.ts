import { groupBy } from '../base/groupBy.ts';
import { distributionOf } from '../model/distribution.ts';
import { expertPattern, groupKey, sharedModule } from '../model/experts.ts';
import type { MatrixFinding } from '../model/findings.ts';
import { digits, table } from './table.ts';

/** What has a line in the table: a matrix, or the experts of one module in one layer. */
export interface Line {
  /** The name of the matrix, or the pattern of the experts. */
  readonly name: string;
  readonly findings: readonly MatrixFinding[];
}

/** The lines of a table, with the experts of a module and layer as one. */
export function linesOf(matrices: readonly MatrixFinding[]): Line[] {
  const groups = groupBy(matrices, (finding) => (finding.expert === undefined ? finding.name : groupKey(finding)));
  return [...groups.values()].map((findings) => {
    const { name, expert = 0 } = findings[0]!;
    return { name: findings.length > 1 ? expertPattern(name, expert) : name, findings };
  });
}

const HEADINGS = ['experts of all layers', 'matrices', 'eff.rank', 'middle half', 'lowest', 'highest'];

/** How the effective ranks of each module spread over the experts of all layers. */
export function* expertSummary(lines: readonly Line[]): Generator<string> {
  const experts = lines.flatMap(({ findings }) => (findings.length < 2 ? [] : findings));
  const modules = groupBy(experts, sharedModule);
  if (modules.size === 0) return;
  const rows = [...modules].map(([module, findings]) => {
    const { median, quartiles, least, most } = distributionOf(findings, ({ effectiveRank }) => effectiveRank)!;
    const middle = quartiles.map(digits).join(' to ');
    return [module, String(findings.length), digits(median), middle, digits(least), digits(most)];
  });
  yield '\n';
  yield* table(HEADINGS, rows);
  yield '\nA line with * stands for the experts of one layer and has their medians; --experts lists each of them.\n';
}
