import { RankscopeError } from '../../base/errors.ts';
import { countParameters } from '../../checkpoint/ties.ts';
import { nameMatcher } from '../../model/globs.ts';
import {
  countLora,
  type LoraCount,
  type LoraCountRequest,
  type LoraModel,
  type LoraModule,
} from '../../model/lora/count.ts';
import { USUAL_MODELS, usualModel } from '../../model/lora/usualModels.ts';
import { isStored } from '../../model/matrix.ts';
import type { Role } from '../../model/names/roles.ts';
import { distinctMatrices, type OpenCheckpoints, type Opened } from '../checkpoints/opened.ts';
import { refuseOptimizer } from '../diff/sides.ts';

/** @throws RankscopeError 'wrong-use' for an unknown model, and a checkpoint that is an adapter. */
export async function countLoraOf(
  checkpoints: OpenCheckpoints,
  { path, model, ranks, targets }: LoraCountRequest,
  signal: AbortSignal | undefined,
): Promise<LoraCount> {
  const counted =
    path === undefined
      ? knownModel(model ?? '')
      : await checkpoints.use(path, signal, async (opened) => modelOf(opened));
  const matches = targets && nameMatcher(targets.flatMap((glob) => [glob, `*.${glob}`]));
  const custom = matches && { name: targets.join(' '), has: ({ name }: LoraModule) => matches(name) };
  if (custom && !counted.modules.some(custom.has))
    throw new RankscopeError(
      'wrong-use',
      counted.name,
      `no module matches ${custom.name}`,
      `Its modules are ${counted.modules.map(({ name }) => name).join(', ')}`,
    );
  return countLora(counted, ranks, custom);
}

function knownModel(name: string): LoraModel {
  const found = usualModel(name);
  if (found) return found;
  throw new RankscopeError(
    'wrong-use',
    name,
    'no table has the sizes of this model',
    `Give the path of a checkpoint, or one of ${USUAL_MODELS.join(', ')}`,
  );
}

/** The modules of a checkpoint, alike ones of all layers together. */
function modelOf(opened: Opened): LoraModel {
  const { checkpoint, adapter } = opened;
  refuseOptimizer(opened);
  if (adapter.pairs > 0)
    throw new RankscopeError(
      'wrong-use',
      checkpoint.path,
      'it is an adapter, not a model',
      'Give the path of its base model, or compare adapters with: rankscope compare',
    );
  const kinds = new Map<string, { module: Omit<LoraModule, 'count'>; count: number }>();
  for (const { module: name, role, shape } of distinctMatrices(opened).filter(isStored)) {
    const key = JSON.stringify([name, shape]);
    const known = kinds.get(key) ?? { module: { name, role, shape }, count: 0 };
    known.count++;
    kinds.set(key, known);
  }
  const modules = [...kinds.values()].map(({ module, count }) => ({ ...module, count }));
  const parameters = countParameters(checkpoint.tensors, opened.ties());
  return { name: checkpoint.path, parameters, hidden: hiddenSize(modules), modules };
}

const READS_STREAM: ReadonlySet<Role> = new Set(['query', 'key', 'value', 'qkv', 'gate', 'up', 'gateUp']);

/** The width that most layers read. */
function hiddenSize(modules: readonly LoraModule[]): number | null {
  const widths = new Map<number, number>();
  for (const { role, shape, count } of modules)
    if (READS_STREAM.has(role)) widths.set(shape[1], (widths.get(shape[1]) ?? 0) + count);
  return [...widths].sort(([, a], [, b]) => b - a)[0]?.[0] ?? null;
}
