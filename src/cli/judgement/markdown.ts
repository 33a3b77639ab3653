import { digits } from '../table.ts';
import type { Verdict } from './conditions.ts';

/** A result as a report shows it. */
export interface Summary {
  /** What was done to what: `Evaluation of llama/`. */
  readonly title: string;
  /** Facts with their names. */
  readonly facts: readonly (readonly [name: string, text: string])[];
  readonly tables: readonly {
    readonly headings: readonly string[];
    readonly rows: readonly (readonly string[])[];
  }[];
  /** One sentence each. */
  readonly notes: readonly string[];
}

/** A report in the Markdown of GitHub and GitLab. */
export function* markdownReport(summary: Summary, verdicts: readonly Verdict[], version: string): Generator<string> {
  yield `# ${inline(summary.title)}\n\n`;
  if (verdicts.length > 0) {
    const failed = verdicts.filter(({ holds }) => holds).length;
    yield failed > 0 ? `**Failed**: ${failed} of ${verdicts.length} conditions\n\n` : '**Passed**\n\n';
    yield* table(['fails if', 'outcome', 'because of'], verdicts.map(verdictRow));
  }
  if (summary.facts.length > 0) yield* table(['', ''], summary.facts);
  for (const { headings, rows } of summary.tables) yield* table(headings, rows);
  for (const note of summary.notes) yield `- ${inline(note)}\n`;
  if (summary.notes.length > 0) yield '\n';
  yield `Rankscope ${version}\n`;
}

/** Values that are listed before the rest is counted. */
const MOST_LISTED = 10;

function verdictRow({ condition, holds, because }: Verdict): string[] {
  const listed = because
    .slice(0, MOST_LISTED)
    .map(({ subject, value, limit }) =>
      value === null ? `${subject}: not measured` : `${subject}: ${digits(value)}${limitText(limit)}`,
    );
  const rest = because.length - listed.length;
  return [condition, holds ? 'fails' : 'passes', [...listed, ...(rest > 0 ? [`${rest} more`] : [])].join('; ')];
}

const limitText = (limit: number | null) =>
  limit === null ? ', nothing to compare with' : ` (limit ${digits(limit)})`;

function* table(headings: readonly string[], rows: readonly (readonly string[])[]): Generator<string> {
  yield `| ${headings.map(inline).join(' | ')} |\n`;
  yield `|${headings.map((_, column) => (column === 0 ? ' --- |' : ' ---: |')).join('')}\n`;
  for (const row of rows) yield `| ${headings.map((_, column) => inline(row[column] ?? '')).join(' | ')} |\n`;
  yield '\n';
}

/** Text that no renderer takes for markup: names of tensors hold `_`, `*`, `[` and whatever a file says. */
function inline(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').replace(/[\\`*_{}[\]<>#|~&]/g, '\\$&');
}
