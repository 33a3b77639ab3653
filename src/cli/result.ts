import { type Invocation, type OptionTable, textOf } from './command.ts';
import { type Judged, readJudgement } from './judgement/judgement.ts';
import { jsonPieces, refuseExisting, writeTextFile } from './output.ts';

/** The options of commands whose result is one JSON object. */
export const RESULT: OptionTable = { json: { type: 'boolean' }, out: { type: 'string' }, force: { type: 'boolean' } };

/** How a result is written and shown. */
interface ResultOptions<Result> {
  readonly work: () => Promise<Result>;
  /** What a person reads in place of the JSON; `out` is the file it was written to. */
  readonly report: (result: Result, out: string | undefined) => Iterable<string>;
  /** For commands with the options of `JUDGEMENT`. */
  readonly judged?: Judged<Result>;
  /** Files that are read, beside the paths of the command line: no report replaces them. */
  readonly inputs?: readonly (string | undefined)[];
}

/** Runs `work`, writes its result to the file of `--out` and prints it: as JSON with `--json`, else as a report. */
export async function showResult<Result extends object>(
  invocation: Invocation,
  { work, report, judged, inputs }: ResultOptions<Result>,
): Promise<void> {
  const { paths, values, terminal } = invocation;
  const out = textOf(values, 'out');
  const force = values.force === true;
  if (out !== undefined) for (const path of paths) await refuseExisting(out, force, path);
  const judgement = judged && (await readJudgement(invocation, judged, inputs));
  const result = await work();
  if (out !== undefined) await writeTextFile(out, jsonPieces(result), { force, signal: terminal.signal });
  await terminal.write(values.json === true ? jsonPieces(result) : report(result, out));
  await judgement?.(result);
}
