import { COMBINATIONS, type LoraWriteRequest } from '../../model/lora/written.ts';
import {
  COMMON_HELP,
  type Command,
  choiceOf,
  ENGINE,
  ENGINE_HELP,
  engineOf,
  type Invocation,
  numberOf,
  textOf,
  UsageError,
} from '../command.ts';
import { showWritten, targetOf, WRITING, writingHelp } from './written.ts';

export const loraMergeCommand: Command = {
  name: 'lora merge',
  usage: 'PATH... --out OUT [--into BASE | --method svd]',
  summary: 'several adapters in one, or an adapter added to its base model',
  help: `  PATH...             adapters: files or folders of PEFT
  --out OUT           the folder to write, for PEFT; with --into, the safetensors file
  --into BASE         add the one adapter to the weights of this checkpoint
  --weights W,W...    a factor of each adapter (default: 1)
  --method NAME       how PEFT's add_weighted_adapter combines adapters (default: svd): one of
                      ${COMBINATIONS.slice(0, 7).join(', ')},
                      ${COMBINATIONS.slice(7).join(', ')}
  --rank R            the rank of the result of an svd (default: the largest of the adapters)
  --density X         the share of entries that ties, dare and magnitude_prune keep
  --majority-sign S   total (default) or frequency, for ties
  --seed N            of the random masks of dare (default: 1)
${writingHelp('loraWritten')}
${ENGINE_HELP}
${COMMON_HELP}

Examples:
  rankscope lora merge german/ law/ --method cat --weights 1,0.5 --out both/
  rankscope lora merge adapter/ --into model/ --out merged.safetensors`,
  options: {
    ...WRITING,
    ...ENGINE,
    into: { type: 'string' },
    weights: { type: 'string' },
    method: { type: 'string' },
    rank: { type: 'string' },
    density: { type: 'string' },
    'majority-sign': { type: 'string' },
    seed: { type: 'string' },
  },
  takesPath: 'several',
  run: (invocation) => showWritten(invocation, requestOf(invocation)),
};

function requestOf(invocation: Invocation): LoraWriteRequest {
  const { paths, path, values } = invocation;
  const base = textOf(values, 'into');
  const weights = weightsOf(textOf(values, 'weights'));
  if (weights && weights.length !== paths.length)
    throw new UsageError(`--weights has ${weights.length} numbers for ${paths.length} adapters`);
  const combination = choiceOf(values, 'method', COMBINATIONS);
  const rank = numberOf(values, 'rank', { least: 1, most: 1e6, whole: true });
  const density = numberOf(values, 'density', { least: 0, most: 1 });
  const majoritySign = choiceOf(values, 'majority-sign', ['total', 'frequency']);
  const seed = numberOf(values, 'seed', { least: 0, most: 2 ** 32 - 1, whole: true });
  const target = targetOf(invocation);
  if (base !== undefined) {
    if (paths.length > 1) throw new UsageError('--into takes one adapter: merge several into one first');
    if ([combination, rank, density, majoritySign, seed].some((value) => value !== undefined))
      throw new UsageError('--into adds the update as it is: --method and its options belong to several adapters');
    const [weight] = weights ?? [];
    return { kind: 'into', path, base, ...target, ...(weight === undefined ? {} : { weight }) };
  }
  const prunes = /ties|dare|prune/.test(combination ?? '');
  if (prunes && density === undefined) throw new UsageError(`--method ${combination} needs --density`);
  if (!prunes && density !== undefined) throw new UsageError('--density belongs to ties, dare and magnitude_prune');
  return {
    kind: 'combine',
    paths,
    ...target,
    ...engineOf(values),
    ...(weights ? { weights } : {}),
    ...(combination ? { combination } : {}),
    ...(rank === undefined ? {} : { rank }),
    ...(density === undefined ? {} : { density }),
    ...(majoritySign ? { majoritySign } : {}),
    ...(seed === undefined ? {} : { seed }),
  };
}

function weightsOf(text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  const weights = text.split(',').map((word) => (word.trim() === '' ? Number.NaN : Number(word)));
  if (weights.every(Number.isFinite)) return weights;
  throw new UsageError(`--weights takes numbers with commas between, such as 1,0.5, not '${text}'`);
}
