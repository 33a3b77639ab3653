import { COMMON_HELP, type Command, choiceOf, type Invocation, textOf } from './command.ts';
import { refuseExisting, refuseInput, writeTextFile } from './output.ts';
import { readPlan } from './readPlan.ts';

export const codeCommand: Command = {
  name: 'code',
  usage: '[--plan plan.json] [--factors 2|3] [--out layers.py]',
  summary: 'low-rank layers for PyTorch, for code of your own',
  help: `  --plan FILE         include the ranks of a plan as RANKS, for factorize(model, RANKS)
  --factors 2|3       W = B A (default, or as the plan says), or W = U S V
  --out FILE          write the module to FILE; it is printed otherwise
  --force             replace FILE if it exists
${COMMON_HELP}

The module needs torch alone. LowRankLinear.from_linear(layer, rank) (SVDLinear with three factors), from_conv for Conv1d,
Conv2d and Conv3d, from_conv1d for GPT-2's Conv1D, from_embedding, FusedLowRankLinear.from_linear for q, k and v in one
layer, and LowRankExperts.from_stack make new layers; factorize(model, ranks) puts them into a model. They work with
torch.compile, torch.export, half precision and training. A checkpoint that 'apply' wrote is loaded by the code that it
writes beside it.

Examples:
  rankscope code --out lowrank.py
  rankscope code --plan plan.json --factors 3 > lowrank.py`,
  options: {
    plan: { type: 'string' },
    factors: { type: 'string' },
    out: { type: 'string' },
    force: { type: 'boolean' },
  },
  takesPath: false,
  run: code,
};

async function code({ values, terminal, service }: Invocation): Promise<void> {
  const planFile = textOf(values, 'plan');
  const factors = choiceOf(values, 'factors', ['2', '3']);
  const out = textOf(values, 'out');
  const force = values.force === true;
  if (out !== undefined) {
    if (planFile !== undefined) await refuseInput(out, planFile);
    await refuseExisting(out, force);
  }
  const { text } = await service.layerCode({
    ...(planFile === undefined ? {} : { plan: await readPlan(planFile) }),
    ...(factors === undefined ? {} : { factors: factors === '3' ? 3 : 2 }),
  });
  if (out === undefined) return terminal.write([text]);
  await writeTextFile(out, [text], { force, signal: terminal.signal });
  await terminal.write([`Written to ${out}\n`]);
}
