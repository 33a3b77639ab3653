import { formatBytes, formatEstimate } from '../base/quantities.ts';
import {
  type CompressionEstimate,
  type CompressionProgress,
  type CompressRequest,
  REFINEMENT,
} from '../model/compression.ts';
import {
  COMMON_HELP,
  type Command,
  ENGINE,
  ENGINE_HELP,
  engineOf,
  type Invocation,
  numberOf,
  textOf,
  UsageError,
  type Values,
} from './command.ts';
import { compressionReport } from './compressionReport.ts';
import { COMPRESSED } from './judgement/compressed.ts';
import { JUDGEMENT, judgementHelp, readJudgement } from './judgement/judgement.ts';
import { jsonPieces } from './output.ts';
import { PYTHON, PYTHON_HELP, PYTHON_VALUE, writePython } from './python.ts';
import { readPlan } from './readPlan.ts';

export const compressCommand: Command = {
  name: 'compress',
  usage: 'PATH --keep SHARE [--text FILE] --out OUT.safetensors [--minutes N] [--no-refine] [--python [OUT.py]]',
  summary: 'the smaller checkpoint with the least loss, fitted to a text and measured on another',
  help: `  PATH                a checkpoint file, a shard index (*.index.json), or a folder
  --keep SHARE        keep this share of the parameters of the matrices that may be cut, in (0, 1)
  --text FILE         a text in UTF-8, of the kind that the model is used for; without one, the model writes one itself
  --ids FILE          the ids of the tokens of a text, in place of --text: a JSON list, or numbers
  --evaluate FILE     another text to measure on; by default, windows of the text that are used for nothing else
  --from PLAN         use the losses that were measured for PLAN, a plan by loss; such a plan lies beside each result
  --out FILE          the safetensors file to write; the plan and the report are written beside it
  --code FILE         write a Python module with the layers and a loader
  --minutes N         what it may take: fewer measured losses and steps of refinement, or none (default: no limit)
  --no-refine         leave out the refinement of the blocks
  --steps N           steps of the refinement of each block (default ${REFINEMENT.steps})
  --rate X            of Adam, at its height (default ${REFINEMENT.rate}; a block that gains nothing takes less)
  --tokens N          tokens for calibration (default 16384)
  --context N         tokens of a window (default 512, or less for a short text)
  --seed N            for the text that the model writes itself (default 0)
  --no-smoke-test     leave out the test in which the written file continues a prompt beside the model
  --overwrite         replace files that exist, and discard the unfinished state of other options
  --json              print the report as JSON (schema: media/schemas/compression.schema.json)
${judgementHelp(COMPRESSED.metrics)}
${PYTHON_HELP}
${ENGINE_HELP}
${COMMON_HELP}

Ranks are spread by what cutting each matrix costs in loss. Block by block, matrices are then truncated on the inputs
that they have in the compressed model, and the factors and norms of the block are trained to give the outputs of the
dense one. Embedding and head stay dense. What was finished stays in OUT.rankscope-partial after an interruption: the
same command goes on there.

Examples:
  rankscope compress llama/ --keep 0.8 --text wiki.txt --out smaller.safetensors
  rankscope compress llama/ --keep 0.7 --text wiki.txt --from smaller.plan.json --out smallest.safetensors
  rankscope compress model.gguf --keep 0.7 --text wiki.txt --evaluate other.txt --minutes 30 --out smaller.safetensors`,
  options: {
    ...ENGINE,
    ...PYTHON,
    ...JUDGEMENT,
    keep: { type: 'string' },
    text: { type: 'string' },
    ids: { type: 'string' },
    evaluate: { type: 'string' },
    from: { type: 'string' },
    out: { type: 'string' },
    code: { type: 'string' },
    minutes: { type: 'string' },
    'no-refine': { type: 'boolean' },
    steps: { type: 'string' },
    rate: { type: 'string' },
    tokens: { type: 'string' },
    context: { type: 'string' },
    seed: { type: 'string' },
    'no-smoke-test': { type: 'boolean' },
    overwrite: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  optionalValues: PYTHON_VALUE,
  run: compress,
};

async function compress(invocation: Invocation): Promise<void> {
  const { path, values, terminal, service } = invocation;
  if (values.python !== undefined) return writeScript(invocation);
  const from = textOf(values, 'from');
  const request = { path, ...requestOf(values), ...(from !== undefined && { from: await readPlan(from) }) };
  const read = [request.text, request.ids, request.evaluate, from];
  const judgement = await readJudgement(invocation, COMPRESSED, read);
  let isResumed = false;
  const progress = (step: CompressionProgress) => {
    if (step.estimate) for (const line of estimateLines(step.estimate)) terminal.warn(line);
    if (step.resumedBlocks && !isResumed) {
      isResumed = true;
      terminal.warn(`Going on behind block ${step.resumedBlocks}, where an earlier run was stopped`);
    }
    terminal.progress(step);
  };
  const report = await service.compress(request, { signal: terminal.signal, progress });
  await terminal.write(values.json === true ? jsonPieces(report) : compressionReport(report));
  await judgement(report);
}

/** The script has no limit of time, writes no loader, and makes no smoke test. */
async function writeScript(invocation: Invocation): Promise<void> {
  for (const name of ['minutes', 'code', 'from', 'fail-if', 'report'])
    if (invocation.values[name] !== undefined) throw new UsageError(`--${name} cannot be given with --python`);
  const options = optionsOf(invocation.values);
  const picked = <Key extends keyof typeof options>(...keys: Key[]) =>
    Object.fromEntries(keys.flatMap((key) => (key in options ? [[key, options[key]]] : []))) as Pick<
      typeof options,
      Key
    >;
  await writePython(invocation, {
    kind: 'compress',
    measure: picked('text', 'ids', 'tokens', 'context'),
    compress: picked('keep', 'evaluate', 'steps', 'rate', 'refine', 'seed'),
  });
}

/** @throws UsageError */
function requestOf(values: Values): Omit<CompressRequest, 'path'> {
  const out = textOf(values, 'out');
  if (out === undefined) throw new UsageError('--out is missing');
  return { ...optionsOf(values), out };
}

function optionsOf(values: Values): Omit<CompressRequest, 'path' | 'out'> {
  const keep = numberOf(values, 'keep', { least: 0, most: 1 });
  const [text, ids] = ['text', 'ids'].map((name) => textOf(values, name));
  if (keep === undefined) throw new UsageError('--keep is missing');
  if (keep === 0 || keep === 1) throw new UsageError(`--keep takes a share between 0 and 1, not '${keep}'`);
  if (text !== undefined && ids !== undefined) throw new UsageError('only one of --text and --ids can be given');
  const whole = (name: string, least: number) => numberOf(values, name, { least, most: 2 ** 31, whole: true });
  const minutes = numberOf(values, 'minutes', { least: 0, most: 1e6 });
  if (minutes === 0) throw new UsageError("--minutes takes a number above 0, not '0'");
  const optional = {
    text,
    ids,
    minutes,
    evaluate: textOf(values, 'evaluate'),
    code: textOf(values, 'code'),
    steps: whole('steps', 1),
    rate: numberOf(values, 'rate', { least: 0, most: 1 }),
    tokens: whole('tokens', 2),
    context: whole('context', 2),
    seed: whole('seed', 0),
  };
  const given = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  return {
    keep,
    ...given,
    ...engineOf(values),
    refine: values['no-refine'] !== true,
    overwrite: values.overwrite === true,
    smokeTest: values['no-smoke-test'] !== true,
  };
}

function* estimateLines(estimate: CompressionEstimate): Generator<string> {
  const { secondsTotal, memoryBytes, diskBytes, schedule, notes } = estimate;
  const steps = schedule.steps === 0 ? 'no refinement' : `${schedule.steps} steps of refinement for each block`;
  yield `About ${formatEstimate(secondsTotal)} and ${formatBytes(memoryBytes)} of memory, with ${steps}; ${formatBytes(diskBytes)} on the disk until it is done`;
  for (const note of notes) yield note;
}
