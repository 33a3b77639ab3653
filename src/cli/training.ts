import { meanCurves } from '../model/training/curves.ts';
import { MOST_CHECKPOINTS, type TrainedMatrix, type TrainingReport } from '../model/training/training.ts';
import { COMMON_HELP, type Command, ENGINE, ENGINE_HELP, engineOf, numberOf, textsOf } from './command.ts';
import { RESULT, showResult } from './result.ts';
import { digits, table } from './table.ts';

export const trainingCommand: Command = {
  name: 'training',
  usage: 'FOLDER [--tensors GLOB] [--json] [--out FILE]',
  summary: 'how ranks, norms and subspaces change over the checkpoints of a training run',
  help: `  FOLDER              a folder with checkpoints whose names tell a step or an epoch: checkpoint-500, step1000, epoch_3.pt
  --tensors GLOB      follow only matrices whose name matches (may be repeated)
  --subspace N        dimension of the leading subspaces whose turn is measured (default: 16, and at most
                      a quarter of a matrix)
  --checkpoints N     read at most so many checkpoints, evenly spread (default: ${MOST_CHECKPOINTS})
  --json              print one JSON object with every matrix and attention head (schema: media/schemas/training.schema.json)
  --out FILE          write the JSON object to FILE as well
  --force             replace FILE if it exists
${ENGINE_HELP}
${COMMON_HELP}

Means over the layers of each module, at the first and the last checkpoint, and over all matrices at each checkpoint.
Turn: of the leading output and input subspaces since the first checkpoint, root mean square of the angles in degrees.
A checkpoint that cannot be read, such as one that is still being written, is left out.

Examples:
  rankscope training run/
  rankscope training run/ --tensors '*q_proj*' --json > run.training.json`,
  options: {
    ...RESULT,
    ...ENGINE,
    tensors: { type: 'string', multiple: true },
    subspace: { type: 'string' },
    checkpoints: { type: 'string' },
  },
  run: (invocation) => {
    const { path: folder, values, service, terminal } = invocation;
    const tensors = textsOf(values, 'tensors');
    const subspace = numberOf(values, 'subspace', { least: 1, most: 256, whole: true });
    const checkpoints = numberOf(values, 'checkpoints', { least: 2, most: 1e6, whole: true });
    const request = {
      folder,
      ...(tensors.length > 0 ? { tensors } : {}),
      ...(subspace === undefined ? {} : { subspace }),
      ...(checkpoints === undefined ? {} : { checkpoints }),
      ...engineOf(values),
    };
    const { signal, progress } = terminal;
    return showResult(invocation, { work: () => service.training(request, { signal, progress }), report });
  },
};

function* report({ unit, steps, matrices, skipped, remarks }: TrainingReport): Generator<string> {
  const byModule = new Map<string, TrainedMatrix[]>();
  for (const matrix of matrices) byModule.set(matrix.module, [...(byModule.get(matrix.module) ?? []), matrix]);
  yield* table(
    ['module', 'matrices', 'effective rank', 'norm', 'alpha', 'turn out', 'turn in'],
    [...byModule].map(([module, own]) => {
      const curves = meanCurves(own.map((matrix) => matrix.curves));
      const both = (values: readonly (number | null)[]) =>
        `${digits(values[0] ?? null)} -> ${digits(values.at(-1) ?? null)}`;
      const last = (values: readonly (number | null)[]) => values.at(-1)?.toFixed(1) ?? '-';
      return [
        module,
        String(own.length),
        ...[both(curves.effectiveRank), both(curves.norm), both(curves.alpha)],
        ...[last(curves.turnOut), last(curves.turnIn)],
      ];
    }),
  );
  const all = meanCurves(matrices.map(({ curves }) => curves));
  yield '\n';
  yield* table(
    [unit, 'effective rank', 'stable rank', 'norm', 'alpha', 'turn out', 'turn in', 'checkpoint'],
    steps.map(({ step, name }, at) => [
      String(step),
      ...[all.effectiveRank, all.stableRank, all.norm, all.alpha].map((values) => digits(values[at] ?? null)),
      ...[all.turnOut, all.turnIn].map((values) => values[at]?.toFixed(1) ?? '-'),
      name,
    ]),
  );
  for (const remark of remarks) yield `Note: ${remark}\n`;
  for (const { name, reason } of skipped) yield `Left out: ${name}: ${reason}\n`;
}
