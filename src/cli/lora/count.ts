import { formatBytes, formatCount, formatWhole } from '../../base/quantities.ts';
import type { LoraCount } from '../../model/lora/count.ts';
import { USUAL_MODELS } from '../../model/lora/usualModels.ts';
import { COMMON_HELP, type Command, type Invocation, textOf, textsOf, UsageError } from '../command.ts';
import { RESULT, showResult } from '../result.ts';
import { digits, table } from '../table.ts';

export const loraCountCommand: Command = {
  name: 'lora count',
  usage: '[PATH | --model NAME] [--ranks 8,16] [--targets GLOB]',
  summary: 'parameters and memory of LoRA for each rank and set of target modules',
  help: `  PATH                a checkpoint
  --model NAME        in place of a checkpoint, one of
${wrapped(USUAL_MODELS)}
  --ranks R,R...      the ranks to count (default: 4,8,16,32,64,128)
  --targets GLOB      also count the modules that match (may be given several times)
  --json              print one JSON object (schema: media/schemas/loraCount.schema.json)
  --out FILE          write the JSON object to FILE as well
  --force             replace FILE if it exists
${COMMON_HELP}

parameters: r (m + n) of every adapted module. 2 d r L: what tutorials count, as if each of the L adapted matrices were
d x d; they differ with grouped queries, MLPs and fused layers. From the break-even rank m n / (m + n) on (d / 2 for a
d x d matrix), the two factors are larger than the matrix.

Examples:
  rankscope lora count llama/ --ranks 8,16
  rankscope lora count --model Llama-3.1-8B --targets q_proj --targets o_proj`,
  options: {
    ...RESULT,
    model: { type: 'string' },
    ranks: { type: 'string' },
    targets: { type: 'string', multiple: true },
  },
  takesPath: 'optional',
  run: count,
};

/** Names with commas between, in lines that the help has room for. */
function wrapped(names: readonly string[]): string {
  const [indent, width] = [' '.repeat(22), 96];
  const lines: string[] = [''];
  for (const name of names) {
    const last = lines.at(-1)!;
    if (last.length + name.length > width) lines.push(`${name}, `);
    else lines[lines.length - 1] = `${last}${name}, `;
  }
  return lines
    .map((line) => `${indent}${line.trimEnd()}`)
    .join('\n')
    .replace(/,$/, '');
}

async function count(invocation: Invocation): Promise<void> {
  const { paths, values, service, terminal } = invocation;
  const [path] = paths;
  const model = textOf(values, 'model');
  if ((path === undefined) === (model === undefined))
    throw new UsageError('exactly one of the path of a checkpoint and --model is needed');
  const ranks = ranksOf(textOf(values, 'ranks'));
  const targets = textsOf(values, 'targets');
  const request = {
    ...(path === undefined ? {} : { path }),
    ...(model === undefined ? {} : { model }),
    ...(ranks ? { ranks } : {}),
    ...(targets.length > 0 ? { targets } : {}),
  };
  await showResult(invocation, { work: () => service.loraCount(request, { signal: terminal.signal }), report });
}

function ranksOf(text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  const ranks = text.split(',').map(Number);
  if (ranks.every((rank) => Number.isInteger(rank) && rank >= 1 && rank <= 1e6)) return ranks;
  throw new UsageError(`--ranks takes whole numbers with commas between, such as 8,16, not '${text}'`);
}

function* report({ model, rows, shapes, full }: LoraCount): Generator<string> {
  yield `${model.name}: ${formatCount(model.parameters)} parameters`;
  yield model.hidden === null ? '\n\n' : `, d = ${model.hidden}\n\n`;
  yield* table(
    ['targets', 'rank', 'parameters', '2 d r L', 'of the model', 'optimizer', 'training', 'file (16 bits)'],
    rows.map((row) => [
      row.targets,
      String(row.rank),
      formatWhole(row.parameters),
      row.tutorial === null ? '-' : formatWhole(row.tutorial),
      `${digits(100 * row.share)} %`,
      formatBytes(row.optimizerBytes),
      formatBytes(row.trainingBytes),
      formatBytes(row.fileBytes),
    ]),
  );
  yield '\n';
  yield* table(
    ['modules', 'shape', 'count', 'break-even rank'],
    shapes.map(({ modules, shape, count, breakEven }) => [
      modules.join(', '),
      shape.join(' x '),
      String(count),
      String(breakEven),
    ]),
  );
  yield `\noptimizer: Adam's moments in f32, ${formatBytes(full.optimizerBytes)} for the whole model; training: with the `;
  yield `trained weights\nand gradients, ${formatBytes(full.trainingBytes)} for the whole model.\n`;
}
