import { formatBytes, formatCount } from '../../base/quantities.ts';
import type { Initialization } from '../../model/lora/initialization.ts';
import {
  COMMON_HELP,
  type Command,
  ENGINE,
  ENGINE_HELP,
  engineOf,
  type Invocation,
  numberOf,
  textOf,
  textsOf,
} from '../command.ts';
import { jsonPieces } from '../output.ts';
import { percent, shortNames, table } from '../table.ts';
import { targetOf, WRITING, writingHelp } from './written.ts';

export const loraInitCommand: Command = {
  name: 'lora init',
  usage: 'PATH --out FOLDER [--rank R] [--activations FILE]',
  summary: 'an adapter that starts with the principal components of the weights (PiSSA), or of W X',
  help: `  PATH                a model
  --out FOLDER        the folder to write: the adapter in FOLDER/adapter, the base without it in FOLDER/base
  --rank R            the rank of each layer (default: 16)
  --alpha A           lora_alpha (default: the rank, so that the scale is 1)
  --activations FILE  statistics of 'rankscope calibrate': the components are those of W X in place of W
  --targets GLOB      only matrices that match (may be given several times; default: all linear layers but the head)
${writingHelp('initialization')}
${ENGINE_HELP}
${COMMON_HELP}

The sum of the written base and the adapter is the model, up to rounding: training goes on from there. PEFT loads the
adapter on FOLDER/base, not on the model it was made of.

Examples:
  rankscope lora init llama/ --rank 16 --out pissa/
  rankscope lora init llama/ --activations llama.activations.safetensors --out corda/`,
  options: {
    ...ENGINE,
    ...WRITING,
    rank: { type: 'string' },
    alpha: { type: 'string' },
    activations: { type: 'string' },
    targets: { type: 'string', multiple: true },
  },
  run: init,
};

const DEFAULT_RANK = 16;

async function init(invocation: Invocation): Promise<void> {
  const { path, values, service, terminal } = invocation;
  const { signal, progress } = terminal;
  const rank = numberOf(values, 'rank', { least: 1, most: 1e6, whole: true }) ?? DEFAULT_RANK;
  const alpha = numberOf(values, 'alpha', { least: 1e-9, most: 1e9 });
  const activations = textOf(values, 'activations');
  const tensors = textsOf(values, 'targets');
  const request = {
    path,
    ...targetOf(invocation),
    ...engineOf(values),
    rank,
    ...(alpha === undefined ? {} : { alpha }),
    ...(activations === undefined ? {} : { activations }),
    ...(tensors.length > 0 ? { tensors } : {}),
  };
  const made = await service.loraInit(request, { signal, progress });
  await terminal.write(values.json === true ? jsonPieces(made) : report(made));
}

function* report({ matrices, parameters, bytes, adapter, base, remarks }: Initialization): Generator<string> {
  const names = shortNames(matrices.map(({ name }) => name));
  yield* table(
    ['matrix', 'shape', 'rank', 'in the adapter', 'components of'],
    matrices.map(({ shape, rank, energy, onInputs }, index) => [
      names[index]!,
      shape.join(' x '),
      String(rank),
      percent(energy),
      onInputs ? 'W X' : 'W',
    ]),
  );
  yield `\n${formatCount(parameters)} parameters in ${adapter}, ${formatBytes(bytes)}\n`;
  yield `The base without them is in ${base}\n`;
  for (const remark of remarks) yield `${remark}\n`;
}
