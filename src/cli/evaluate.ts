import { basename } from 'node:path';
import type { Evaluation } from '../model/evaluation.ts';
import {
  COMMON_HELP,
  type Command,
  ENGINE,
  ENGINE_HELP,
  engineOf,
  type Invocation,
  textOf,
  textsOf,
  UsageError,
  type Values,
} from './command.ts';
import { EVALUATION, evaluationTable, textLine } from './judgement/evaluation.ts';
import { JUDGEMENT, judgementHelp } from './judgement/judgement.ts';
import { refuseInput } from './output.ts';
import { PYTHON, PYTHON_HELP, PYTHON_VALUE, writePython } from './python.ts';
import { readPlan } from './readPlan.ts';
import { RESULT, showResult } from './result.ts';
import { table } from './table.ts';
import { TEXT, TEXT_HELP, textRequestOf, WINDOWS_HELP } from './textOptions.ts';

export const evaluateCommand: Command = {
  name: 'evaluate',
  usage: 'PATH --text FILE [--plan PLAN]... [--rank 16,32] [--file FACTORIZED]... [--tokens N] [--python [OUT.py]]',
  summary: 'perplexity on a text: the model, and what ranks and plans do to it',
  help: `  PATH                a checkpoint file, a shard index (*.index.json), or a folder
${TEXT_HELP}
  --plan FILE         also evaluate a plan made by 'rankscope plan', as 'apply' would write it; may be repeated
  --rank R,...        also evaluate one rank for every matrix that a plan cuts by default, once for each of these
  --activations FILE  truncate plans and ranks on these statistics of 'rankscope calibrate', as apply --calibration does
  --file PATH         also evaluate another checkpoint of the same network, such as one from 'apply'; may be repeated
${WINDOWS_HELP}
  --out FILE          write the result to FILE as JSON
  --force             replace FILE if it exists
  --json              print the result as JSON (schema: media/schemas/evaluation.schema.json)
${judgementHelp(EVALUATION.metrics)}
${PYTHON_HELP}
${ENGINE_HELP}
${COMMON_HELP}

The text is cut into windows without overlap, and all tokens but the first of each window are scored. Everything that is
evaluated passes in one reading of the weights, a block at a time. Differences are those of the mean log likelihood of
a token, with their standard error; KL is the divergence of the predictions from those of the model as it is.

Examples:
  rankscope evaluate llama/ --text wiki.txt --rank 64,128,256 --tokens 8192
  rankscope evaluate model.gguf --text wiki.txt --plan plan.json --context 512 --json
  rankscope evaluate falcon/ --text wiki.txt --rank 64,128 --python falcon.py`,
  options: {
    ...ENGINE,
    ...RESULT,
    ...JUDGEMENT,
    ...PYTHON,
    ...TEXT,
    plan: { type: 'string', multiple: true },
    activations: { type: 'string' },
    rank: { type: 'string', multiple: true },
    file: { type: 'string', multiple: true },
  },
  optionalValues: PYTHON_VALUE,
  run: evaluate,
};

async function evaluate(invocation: Invocation): Promise<void> {
  const { path, values, terminal, service } = invocation;
  const text = textRequestOf(values);
  const ranks = ranksOf(values);
  const files = textsOf(values, 'file');
  const planFiles = textsOf(values, 'plan');
  const activations = textOf(values, 'activations');
  if (activations !== undefined && ranks.length + planFiles.length === 0)
    throw new UsageError('--activations goes with --plan or --rank: nothing else is truncated');
  if (activations !== undefined && values.python !== undefined)
    throw new UsageError('the script of --python truncates the weights alone: leave out --activations');
  const engine = engineOf(values);
  const out = textOf(values, 'out');
  if (out !== undefined)
    for (const file of [text.text, text.ids, activations, ...files, ...planFiles])
      if (file) await refuseInput(out, file);
  const plans = [];
  for (const file of planFiles) plans.push({ name: basename(file), plan: await readPlan(file) });
  const measure = { ...text, ranks, plans, files };
  if (values.python !== undefined) return writePython(invocation, { kind: 'evaluate', measure });
  const request = { path, ...engine, ...measure, ...(activations === undefined ? {} : { activations }) };
  const { signal, progress } = terminal;
  await showResult(invocation, {
    work: () => service.evaluate(request, { signal, progress }),
    report,
    judged: EVALUATION,
    inputs: [text.text, text.ids, activations, ...files, ...planFiles],
  });
}

/** `16,32`, in the order in which they are given, each once. */
function ranksOf(values: Values): number[] {
  const words = textsOf(values, 'rank').flatMap((list) => list.split(',').map((word) => word.trim()));
  const ranks = words.map((word) => {
    const rank = Number(word);
    if (word === '' || !Number.isSafeInteger(rank) || rank < 1)
      throw new UsageError(`--rank takes whole numbers from 1 on, not '${word}'`);
    return rank;
  });
  return [...new Set(ranks)];
}

function* report(evaluation: Evaluation, out: string | undefined): Generator<string> {
  const { text, engine, seconds, notes } = evaluation;
  const { headings, rows } = evaluationTable(evaluation);
  yield* table(headings, rows);
  yield `\n${textLine(text)}\n`;
  yield `${engine.device}, ${seconds.toFixed(1)} s\n`;
  for (const note of notes) yield `${note}\n`;
  if (out !== undefined) yield `Written to ${out}\n`;
}
