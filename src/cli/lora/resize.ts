import { RESIZE_METHODS, type ResizeRequest } from '../../model/lora/written.ts';
import { COMMON_HELP, type Command, type Invocation, numberOf, UsageError } from '../command.ts';
import { showWritten, targetOf, WRITING, writingHelp } from './written.ts';

export const loraResizeCommand: Command = {
  name: 'lora resize',
  usage: 'PATH --out FOLDER [--rank R] [--sv_fro 0.95]',
  summary: 'an adapter with other ranks, from the spectra of its updates',
  help: `  PATH                an adapter: a file or the folder of PEFT
  --out FOLDER        the folder to write, for PEFT; of a file of kohya, a safetensors file
  --rank R            the rank of each layer, or the largest with one of these:
  --sv_ratio X        singular values above the largest / X
  --sv_fro X          the least rank with X of the Frobenius norm (0 to 1)
  --sv_cumulative X   the least rank with X of the sum of singular values (0 to 1)
${writingHelp('loraWritten')}
${COMMON_HELP}

Each update is truncated at its best approximation, which is found without forming B A. The rules have the names of
kohya's resize_lora, which gives one rank less where all are wanted.

Examples:
  rankscope lora resize adapter/ --rank 8 --out smaller/
  rankscope lora resize adapter/ --sv_fro 0.95 --rank 32 --out smaller/`,
  options: {
    ...WRITING,
    rank: { type: 'string' },
    ...Object.fromEntries(RESIZE_METHODS.map((name) => [name, { type: 'string' } as const])),
  },
  run: (invocation) => showWritten(invocation, requestOf(invocation)),
};

function requestOf(invocation: Invocation): ResizeRequest {
  const { path, values } = invocation;
  const rank = numberOf(values, 'rank', { least: 1, most: 1e6, whole: true });
  const methods = RESIZE_METHODS.flatMap((name) => {
    const value = numberOf(values, name, name === 'sv_ratio' ? { least: 1, most: 1e12 } : { least: 0, most: 1 });
    return value === undefined ? [] : [{ name, value }];
  });
  if (methods.length > 1) throw new UsageError('only one rule can choose the ranks');
  if (rank === undefined && methods.length === 0) throw new UsageError('--rank or a rule is needed');
  const [method] = methods;
  return {
    kind: 'resize',
    path,
    ...targetOf(invocation),
    ...(rank === undefined ? {} : { rank }),
    ...(method ? { method } : {}),
  };
}
