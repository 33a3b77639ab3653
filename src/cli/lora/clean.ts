import type { CleanRequest } from '../../model/lora/written.ts';
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
} from '../command.ts';
import { showWritten, targetOf, WRITING, writingHelp } from './written.ts';

export const loraCleanCommand: Command = {
  name: 'lora clean',
  usage: 'PATH --base BASE [--out FOLDER] [--remain 0.75]',
  summary: 'weaken the directions of an adapter that its base model does not have',
  help: `  PATH                an adapter: a file or the folder of PEFT
  --base BASE         the checkpoint that it was trained on
  --out FOLDER        the folder to write, for PEFT; without it, the intruders are only shown
  --top K             the leading directions of W + scale B A that are looked at (default: 10)
  --threshold X       a direction is an intruder if its cosines with those of W are all below X (default: 0.5)
  --remain X          the share of an intruder that remains, PEFT's mitigation_lambda (default: 0.75)
${writingHelp('loraWritten')}
${ENGINE_HELP}
${COMMON_HELP}

Intruders are what fine-tuning with LoRA adds where full fine-tuning turns what is there; weaker ones forget less of what
the base knew, and may cost some of what was learned. The result is that of PEFT's reduce_intruder_dimension.

Example:
  rankscope lora clean adapter/ --base llama/ --out cleaned/`,
  options: {
    ...WRITING,
    ...ENGINE,
    base: { type: 'string' },
    top: { type: 'string' },
    threshold: { type: 'string' },
    remain: { type: 'string' },
  },
  run: (invocation) => showWritten(invocation, requestOf(invocation)),
};

function requestOf(invocation: Invocation): CleanRequest {
  const { path, values } = invocation;
  const base = textOf(values, 'base');
  if (base === undefined) throw new UsageError('--base is missing');
  const top = numberOf(values, 'top', { least: 1, most: 1e4, whole: true });
  const threshold = numberOf(values, 'threshold', { least: 0, most: 1 });
  const remain = numberOf(values, 'remain', { least: 0, most: 1 });
  return {
    kind: 'clean',
    path,
    base,
    ...(values.out === undefined ? {} : targetOf(invocation)),
    ...engineOf(values),
    ...(top === undefined ? {} : { top }),
    ...(threshold === undefined ? {} : { threshold }),
    ...(remain === undefined ? {} : { remain }),
  };
}
