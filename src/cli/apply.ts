import { formatBytes, formatCount } from '../base/quantities.ts';
import type { CalibrationUse } from '../model/calibrationUse.ts';
import { FACTOR_STYLES } from '../model/factorStyle.ts';
import { smokeTestSentence } from '../model/generationText.ts';
import type { Plan } from '../model/plan/plan.ts';
import type { ApplyCalibration, ApplyReport } from '../protocol/service.ts';
import {
  COMMON_HELP,
  type Command,
  choiceOf,
  ENGINE,
  ENGINE_HELP,
  engineOf,
  type Invocation,
  textOf,
  UsageError,
  type Values,
} from './command.ts';
import { generationReport } from './generationReport.ts';
import { JUDGEMENT, judgementHelp, readJudgement } from './judgement/judgement.ts';
import { WRITTEN, writtenTable } from './judgement/written.ts';
import { jsonPieces, refuseInput } from './output.ts';
import { readPlan } from './readPlan.ts';
import { table } from './table.ts';
import { textRequestOf, windowsInWords } from './textOptions.ts';
import { FORM, FORM_HELP, folderLines, formOf, growthWarning } from './writtenForm.ts';

export const applyCommand: Command = {
  name: 'apply',
  usage:
    'PATH --plan plan.json --out OUT.safetensors|FOLDER [--calibration FILE] [--dense] [--dtype TYPE] [--code OUT.py]',
  summary: 'write the smaller checkpoint, as a file with its code or as a folder for transformers',
  help: `  PATH                the checkpoint that the plan was made for
  --plan FILE         a plan made by 'rankscope plan'
  --out FILE          the safetensors file to write
  --out FOLDER        the model folder to write: transformers opens it with trust_remote_code=True. A run that was stopped
                      goes on where it was
  --calibration FILE  truncate the matrices on what they read: a text, which passes block by block through the compressed
                      network, or statistics of 'rankscope calibrate' or an imatrix of llama.cpp, without a pass
  --ids FILE          the ids of the tokens of a text, in place of --calibration: a JSON list, or numbers
  --context N         tokens of a window of the text (default: 512)
  --tokens N          the most tokens to use (default: 16384)
  --code FILE         write a Python module with the layers and a loader
  --factors 2|3       W = B A, or W = U S V (default: as the plan says)
  --style NAME        how the file calls the factors of NAME: rankscope (default), or as others do: sequential (NAME.0 and
                      NAME.1 of nn.Sequential), uv (q_v_proj and q_u_proj of SVD-LLM), ab (NAME.BLinear and NAME.ALinear
                      of ASVD); --code writes a loader for it
${FORM_HELP}
  --no-smoke-test     leave out the test in which the written file continues a prompt beside the model
  --force             replace what exists: files, or a folder that was written here
  --json              print a report with the measured error of every matrix
${judgementHelp(WRITTEN.metrics)}
${ENGINE_HELP}
${COMMON_HELP}

A matrix NAME.weight (m x n) of rank r becomes NAME.lowrank_a.weight (r x n) and NAME.lowrank_b.weight (m x r), so that
y = B (A x); with three factors NAME.svd_u (m x r), NAME.svd_s (r) and NAME.svd_v (r x n). Experts that are one tensor NAME
become NAME.experts.0 and so on once one of them is cut: its factors, or its weight if it stays dense.

A text that the model is used for, and more tokens than the widest matrix has columns, lose the least.

Examples:
  rankscope apply model.safetensors --plan plan.json --out smaller.safetensors --code smaller.py
  rankscope apply llama/ --plan plan.json --calibration wiki.txt --out smaller.safetensors
  rankscope apply llama/ --plan plan.json --out llama-smaller/
  rankscope apply model.Q4_K_M.gguf --plan plan.json --dense --out truncated.gguf`,
  options: {
    ...ENGINE,
    style: { type: 'string' },
    ...JUDGEMENT,
    ...FORM,
    plan: { type: 'string' },
    out: { type: 'string' },
    code: { type: 'string' },
    factors: { type: 'string' },
    calibration: { type: 'string' },
    ids: { type: 'string' },
    context: { type: 'string' },
    tokens: { type: 'string' },
    'no-smoke-test': { type: 'boolean' },
    force: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  run: apply,
};

async function apply(invocation: Invocation): Promise<void> {
  const { path, values, terminal, service } = invocation;
  const planFile = textOf(values, 'plan');
  const out = textOf(values, 'out');
  const code = textOf(values, 'code');
  const factors = choiceOf(values, 'factors', ['2', '3']);
  const style = choiceOf(values, 'style', FACTOR_STYLES);
  if (planFile === undefined) throw new UsageError('--plan is missing');
  if (out === undefined) throw new UsageError('--out is missing');
  const engine = engineOf(values);
  const form = formOf(values, out);
  const calibration = calibrationOf(values);
  for (const file of [out, code]) if (file !== undefined) await refuseInput(file, planFile);
  const plan = await readPlan(planFile);
  const judgement = await readJudgement(invocation, WRITTEN, [planFile, calibration?.file, calibration?.ids]);
  const request = {
    path,
    ...engine,
    plan: factors === undefined ? plan : withFactors(plan, factors === '3' ? 3 : 2),
    out,
    ...form,
    ...(calibration === undefined ? {} : { calibration }),
    ...(style === undefined ? {} : { style }),
    ...(code === undefined ? {} : { code }),
    overwrite: values.force === true,
    smokeTest: values['no-smoke-test'] !== true,
  };
  const warning = growthWarning(await service.estimateApply(request, { signal: terminal.signal }));
  if (warning !== undefined) terminal.warn(warning);
  const report = await service.apply(request, { signal: terminal.signal, progress: terminal.progress });
  await terminal.write(values.json === true ? jsonPieces(report) : lines(report));
  await judgement(report);
}

/** @throws UsageError */
function calibrationOf(values: Values): ApplyCalibration | undefined {
  const { calibration, ids, context, tokens } = values;
  if ([calibration, ids, context, tokens].every((value) => value === undefined)) return undefined;
  if ((calibration === undefined) === (ids === undefined))
    throw new UsageError('exactly one of --calibration and --ids is needed');
  const { text, ...rest } = textRequestOf({ ...values, text: calibration });
  return text === undefined ? rest : { ...rest, file: text };
}

function withFactors(plan: Plan, factors: 2 | 3): Plan {
  return { ...plan, request: { ...plan.request, factors } };
}

function* lines(report: ApplyReport): Generator<string> {
  const { calibration } = report;
  const { headings, rows } = writtenTable(report);
  yield* table(headings, rows);
  yield `\n${formatCount(report.parametersBefore)} parameters became ${formatCount(report.parametersAfter)}, `;
  yield `${formatBytes(report.bytesBefore)} became ${formatBytes(report.bytesAfter)}\n`;
  yield `Written to ${report.out}${report.code === null ? '' : ` and ${report.code}`}\n`;
  if (report.folder) yield* folderLines(report.folder);
  if (calibration) yield* calibrationLines(calibration);
  for (const remark of report.remarks ?? []) yield `${remark}\n`;
  const { smokeTest } = report;
  if (!smokeTest) return;
  if (!('generation' in smokeTest)) {
    yield `${smokeTestSentence(smokeTest)}\n`;
    return;
  }
  yield '\nThe written file, read again, beside the model:\n\n';
  yield* generationReport(smokeTest.generation);
}

function* calibrationLines({ kind, name, tokens, text, ridge, notes }: CalibrationUse): Generator<string> {
  const counted = tokens === null ? 'tokens that it does not count' : `${formatCount(tokens)} tokens`;
  if (text) yield `Truncated on the inputs of the compressed network: ${name}, ${counted} in ${windowsInWords(text)}`;
  else
    yield `Truncated on ${kind === 'diagonal' ? 'sums of squares of inputs' : 'statistics of inputs'}: ${name}, ${counted}`;
  yield ridge > 0 ? `, ridge ${ridge}\n` : '\n';
  for (const note of notes) yield `${note}\n`;
}
