import { resolve } from 'node:path';
import manifest from '../../../package.json' with { type: 'json' };
import { type Invocation, type OptionTable, textOf, textsOf, UsageError } from '../command.ts';
import { jsonPieces, refuseExisting, refuseInput, writeTextFile } from '../output.ts';
import { judge, type Metric, parseCondition, reasonOf, type Verdict } from './conditions.ts';
import { markdownReport, type Summary } from './markdown.ts';

/** The options of commands whose result can be judged. */
export const JUDGEMENT: OptionTable = {
  'fail-if': { type: 'string', multiple: true },
  report: { type: 'string', multiple: true },
};

/** How the result of a command is judged and reported. */
export interface Judged<Result> {
  readonly command: string;
  readonly metrics: readonly Metric<Result>[];
  readonly summary: (result: Result) => Summary;
}

/** At least one condition of `--fail-if` holds: exit code 3. The result was printed and written all the same. */
export class ConditionsHold extends Error {
  override readonly name = 'ConditionsHold';
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super(reasons.join('; '));
    this.reasons = reasons;
  }
}

/** The lines of the help. */
export function judgementHelp<Result>(metrics: readonly Metric<Result>[]): string {
  const lines = metrics.map(({ name, meaning, relativeTo }) => {
    const multiples = relativeTo === undefined ? '' : ` (1.05x: of ${relativeTo})`;
    return `                        ${name.padEnd(16)}${meaning}${multiples}`;
  });
  return `  --fail-if CONDITION exit with 3 if a number of the result is beyond a limit, such as '${metrics[0]!.name}>0.1'; after >, >=, <
                      or <= stands a number, 10%, or 1.05x; may be repeated. What can be compared:
${lines.join('\n')}
  --report FILE       write a report to FILE.md (Markdown) or FILE.json, with the conditions; may be repeated`;
}

/**
 * Reads the conditions and checks the names of the reports before any work is done. The function that is returned
 * takes the result: it writes the reports, and throws `ConditionsHold`.
 * @param inputs files that no report replaces, beside the paths of the command line
 * @throws UsageError; RankscopeError 'wrong-use' for a report that must not be written
 */
export async function readJudgement<Result extends object>(
  { paths, values, terminal }: Invocation,
  { command, metrics, summary }: Judged<Result>,
  inputs: readonly (string | undefined)[] = [],
): Promise<(result: Result) => Promise<void>> {
  const conditions = textsOf(values, 'fail-if').map((text) => {
    try {
      return parseCondition(text, metrics);
    } catch (error) {
      throw new UsageError(`--fail-if: ${(error as Error).message}`);
    }
  });
  const force = values.force === true || values.overwrite === true;
  const reports = textsOf(values, 'report');
  const taken = new Set(['out', 'code'].flatMap((name) => textOf(values, name) ?? []).map((file) => resolve(file)));
  for (const file of reports) {
    if (!/\.(md|json)$/i.test(file)) throw new UsageError(`--report takes a file named .md or .json, not '${file}'`);
    if (taken.has(resolve(file))) throw new UsageError(`--report ${file}: something else is written to this file`);
    taken.add(resolve(file));
    for (const input of [...paths, ...inputs]) if (input !== undefined) await refuseInput(file, input);
    await refuseExisting(file, force);
  }
  return async (result) => {
    const verdicts = conditions.map((condition) => judge(condition, metrics, result));
    for (const file of reports) {
      const isJson = /\.json$/i.test(file);
      const pieces = isJson
        ? jsonReport(command, verdicts, result)
        : markdownReport(summary(result), verdicts, manifest.version);
      await writeTextFile(file, pieces, { force, signal: terminal.signal });
    }
    const held = verdicts.filter(({ holds }) => holds);
    if (held.length > 0) throw new ConditionsHold(held.map(reasonOf));
  };
}

/** The result as its command prints it with `--json`, and what became of the conditions. */
function* jsonReport(command: string, verdicts: readonly Verdict[], result: object): Generator<string> {
  const head = {
    format: 'rankscope.report/1',
    version: manifest.version,
    command,
    passed: verdicts.every(({ holds }) => !holds),
    conditions: verdicts,
  };
  yield `${JSON.stringify(head).slice(0, -1)},"result":`;
  yield* jsonPieces(result);
  yield '}\n';
}
