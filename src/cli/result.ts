import { type Invocation, type OptionTable, textOf } from './command.ts';
import { jsonPieces, refuseExisting, writeTextFile } from './output.ts';

/** The options of commands whose result is one JSON object. */
export const RESULT: OptionTable = { json: { type: 'boolean' }, out: { type: 'string' }, force: { type: 'boolean' } };

/** How a result is written and shown. */
interface ResultOptions<Result> {
  readonly work: () => Promise<Result>;
  /** What a person reads in place of the JSON; `out` is the file it was written to. */
  readonly report: (result: Result, out: string | undefined) => Iterable<string>;
}

/** Runs `work`, writes its result to the file of `--out` and prints it: as JSON with `--json`, else as a report. */
export async function showResult<Result extends object>(
  { paths, values, terminal }: Invocation,
  { work, report }: ResultOptions<Result>,
): Promise<void> {
  const out = textOf(values, 'out');
  const force = values.force === true;
  if (out !== undefined) for (const path of paths) await refuseExisting(out, force, path);
  const result = await work();
  if (out !== undefined) await writeTextFile(out, jsonPieces(result), { force, signal: terminal.signal });
  await terminal.write(values.json === true ? jsonPieces(result) : report(result, out));
}
