import { type ComparableAdapter, compareAdapters } from '../adapters/comparison/compareAdapters.ts';
import type { UpdateMatrix } from '../adapters/updateMatrix.ts';
import { RankscopeError } from '../base/errors.ts';
import type { AdapterComparison } from '../model/comparison.ts';
import type { CallContext, StepProgress } from '../protocol/service.ts';
import { type OpenCheckpoints, type Opened, refuseChanged } from './checkpoints/opened.ts';

/**
 * Compares the adapters in these files, which all stay open meanwhile. A file may hold several.
 * @throws RankscopeError 'wrong-use' if a file holds no adapter, or there is only one in total.
 */
export function compare(
  checkpoints: OpenCheckpoints,
  paths: readonly string[],
  context: CallContext<StepProgress>,
): Promise<AdapterComparison> {
  return checkpoints.useAll(paths, context.signal, (opened) => compareOpened(opened, paths, context));
}

async function compareOpened(
  opened: readonly Opened[],
  paths: readonly string[],
  { signal, progress }: CallContext<StepProgress>,
): Promise<AdapterComparison> {
  const adapters = opened.flatMap((each, index) => adaptersIn(each, paths[index]!));
  const comparison = await compareAdapters(adapters, {
    signal,
    progress: (done, total, message) => progress?.({ done, total, message }),
  });
  for (const { checkpoint } of opened) await refuseChanged(checkpoint);
  return comparison;
}

function adaptersIn(opened: Opened, path: string): ComparableAdapter[] {
  const byName = new Map<string | undefined, UpdateMatrix[]>();
  for (const matrix of opened.anatomy.matrices) {
    if (matrix.kind !== 'update') continue;
    const { adapter } = matrix.update;
    const matrices = byName.get(adapter) ?? [];
    matrices.push(matrix);
    byName.set(adapter, matrices);
  }
  const { naming, bases, refused, remarks } = opened.adapter;
  if (byName.size > 0)
    return [...byName].map(([name, matrices]) => {
      return { path, name: name ?? null, naming, base: bases.get(name) ?? null, matrices, refused, remarks };
    });
  const [first] = refused;
  throw new RankscopeError(
    'wrong-use',
    path,
    first ? `its adapter cannot be compared: ${first.target}: ${first.reason}` : 'it holds no LoRA adapter',
    'Name files or folders of adapters; for the ranks of a model use: rankscope analyze',
  );
}
