import { basename } from 'node:path';
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
} from './command.ts';
import { generationReport } from './generationReport.ts';
import { refuseInput } from './output.ts';
import { readPlan } from './readPlan.ts';
import { RESULT, showResult } from './result.ts';

export const generateCommand: Command = {
  name: 'generate',
  usage: 'PATH --prompt TEXT [--plan PLAN | --file FACTORIZED] [--tokens N]',
  summary: 'continue a prompt: the model, and beside it a plan or a smaller file',
  help: `  PATH                a checkpoint file, a shard index (*.index.json), or a folder
  --prompt TEXT       the begin of a text
  --ids FILE          the ids of its tokens, in place of --prompt: a JSON list, or numbers
  --plan FILE         also continue it with a plan made by 'rankscope plan', as 'apply' would write it
  --file PATH         also continue it with another checkpoint of the same network, such as one from 'apply'
  --tokens N          the most tokens to add (default 48)
  --out FILE          write the result to FILE as JSON
  --force             replace FILE if it exists
  --json              print the result as JSON
${ENGINE_HELP}
${COMMON_HELP}

Each token is the most likely one. The whole network stays in memory while it generates, with 4 bytes a parameter. The
report says where the two texts part, and whether one repeats itself, which small models also do as they are.

Examples:
  rankscope generate llama/ --prompt 'Once upon a time' --plan plan.json
  rankscope generate model.gguf --prompt 'The capital of France is' --file smaller.safetensors --tokens 20`,
  options: {
    ...ENGINE,
    ...RESULT,
    prompt: { type: 'string' },
    ids: { type: 'string' },
    plan: { type: 'string' },
    file: { type: 'string' },
    tokens: { type: 'string' },
  },
  run: generate,
};

async function generate(invocation: Invocation): Promise<void> {
  const { path, values, terminal, service } = invocation;
  const prompt = textOf(values, 'prompt');
  const ids = textOf(values, 'ids');
  if ((prompt === undefined) === (ids === undefined)) throw new UsageError('one of --prompt and --ids is needed');
  const planFile = textOf(values, 'plan');
  const file = textOf(values, 'file');
  if (planFile !== undefined && file !== undefined) throw new UsageError('--plan and --file exclude each other');
  const tokens = numberOf(values, 'tokens', { least: 1, most: 4096, whole: true });
  const engine = engineOf(values);
  const out = textOf(values, 'out');
  if (out !== undefined) for (const input of [ids, planFile, file]) if (input) await refuseInput(out, input);
  const request = {
    path,
    ...engine,
    ...(prompt === undefined ? {} : { prompt }),
    ...(ids === undefined ? {} : { ids }),
    ...(tokens === undefined ? {} : { tokens }),
    ...(planFile === undefined ? {} : { plan: { name: basename(planFile), plan: await readPlan(planFile) } }),
    ...(file === undefined ? {} : { file }),
  };
  const { signal, progress } = terminal;
  await showResult(invocation, {
    work: () => service.generate(request, { signal, progress }),
    *report(generation, written) {
      yield* generationReport(generation);
      if (written !== undefined) yield `Written to ${written}\n`;
    },
  });
}
