import { formatBytes, formatCount } from '../base/quantities.ts';
import { smokeTestSentence } from '../model/generationText.ts';
import type { Plan } from '../model/plan/plan.ts';
import type { ApplyReport } from '../protocol/service.ts';
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
} from './command.ts';
import { generationReport } from './generationReport.ts';
import { jsonPieces, refuseInput } from './output.ts';
import { readPlan } from './readPlan.ts';
import { percent, shortNames, table } from './table.ts';

export const applyCommand: Command = {
  name: 'apply',
  usage: 'PATH --plan plan.json --out OUT.safetensors [--factors 2|3] [--code OUT.py]',
  summary: 'write the smaller checkpoint, and the code for it',
  help: `  PATH                the checkpoint that the plan was made for
  --plan FILE         a plan made by 'rankscope plan'
  --out FILE          the safetensors file to write
  --code FILE         write a Python module with the layers and a loader
  --factors 2|3       W = B A, or W = U S V (default: as the plan says)
  --no-smoke-test     leave out the test in which the written file continues a prompt beside the model
  --force             replace files that exist
  --json              print a report with the measured error of every matrix
${ENGINE_HELP}
${COMMON_HELP}

A matrix NAME.weight (m x n) of rank r becomes NAME.lowrank_a.weight (r x n) and NAME.lowrank_b.weight (m x r), so that
y = B (A x); with three factors NAME.svd_u (m x r), NAME.svd_s (r) and NAME.svd_v (r x n).

Example:
  rankscope apply model.safetensors --plan plan.json --out smaller.safetensors --code smaller.py`,
  options: {
    ...ENGINE,
    plan: { type: 'string' },
    out: { type: 'string' },
    code: { type: 'string' },
    factors: { type: 'string' },
    'no-smoke-test': { type: 'boolean' },
    force: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  run: apply,
};

async function apply({ path, values, terminal, service }: Invocation): Promise<void> {
  const planFile = textOf(values, 'plan');
  const out = textOf(values, 'out');
  const code = textOf(values, 'code');
  const factors = choiceOf(values, 'factors', ['2', '3']);
  if (planFile === undefined) throw new UsageError('--plan is missing');
  if (out === undefined) throw new UsageError('--out is missing');
  const engine = engineOf(values);
  for (const file of [out, code]) if (file !== undefined) await refuseInput(file, planFile);
  const plan = await readPlan(planFile);
  const report = await service.apply(
    {
      path,
      ...engine,
      plan: factors === undefined ? plan : withFactors(plan, factors === '3' ? 3 : 2),
      out,
      ...(code === undefined ? {} : { code }),
      overwrite: values.force === true,
      smokeTest: values['no-smoke-test'] !== true,
    },
    { signal: terminal.signal, progress: terminal.progress },
  );
  await terminal.write(values.json === true ? jsonPieces(report) : lines(report));
}

function withFactors(plan: Plan, factors: 2 | 3): Plan {
  return { ...plan, request: { ...plan.request, factors } };
}

function* lines(report: ApplyReport): Generator<string> {
  const names = shortNames(report.matrices.map(({ name }) => name));
  yield* table(
    ['matrix', 'rank', 'predicted error', 'measured error'],
    report.matrices.map(({ name, rank, predictedError, measuredError }, index) => [
      names[index] ?? name,
      String(rank),
      percent(predictedError),
      percent(measuredError),
    ]),
  );
  yield `\n${formatCount(report.parametersBefore)} parameters became ${formatCount(report.parametersAfter)}, `;
  yield `${formatBytes(report.bytesBefore)} became ${formatBytes(report.bytesAfter)}\n`;
  yield `Written to ${report.out}${report.code === null ? '' : ` and ${report.code}`}\n`;
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
