import type { AdapterLayer } from '../../adapters/writing/layers.ts';
import { RankscopeError } from '../../base/errors.ts';
import { isStored } from '../../model/matrix.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { FACTOR_BYTES } from '../../write/encode.ts';
import type { Opened } from '../checkpoints/opened.ts';

/** A layer of an adapter and the matrix that it changes. */
export interface Change {
  readonly layer: AdapterLayer;
  readonly matrix: StoredMatrix;
}

/** @throws RankscopeError 'wrong-use' for a layer that the base lacks, or has in another shape */
export function changesOf(layers: readonly AdapterLayer[], base: Opened, basePath: string, path: string): Change[] {
  const matrices = base.anatomy.matrices.filter(isStored);
  const byName = new Map(matrices.map((matrix) => [matrix.name.replace(/\.weight$/, ''), matrix]));
  return layers.map((layer) => {
    const { target, update } = layer;
    const matrix = byName.get(target) ?? endingIn(byName, target);
    if (!matrix)
      throw new RankscopeError(
        'wrong-use',
        path,
        `the base ${basePath} has no layer ${target}`,
        'Give the base that the adapter was trained on',
      );
    const [m, n] = update.shape;
    if (matrix.shape[0] !== m || matrix.shape[1] !== n)
      throw new RankscopeError(
        'wrong-use',
        path,
        `its update of ${target} is ${m} x ${n}, the layer in ${basePath} is ${matrix.shape.join(' x ')}`,
        'Give the base that the adapter was trained on',
      );
    if (!Object.hasOwn(FACTOR_BYTES, matrix.dtype))
      throw new RankscopeError(
        'unsupported',
        basePath,
        `${matrix.tensorName} is stored as ${matrix.dtype}`,
        'An adapter is added to unquantized weights: give the base in 16 or 32 bits',
      );
    return { layer, matrix };
  });
}

/** The one matrix whose name ends in the target's, or the other way round: wrappers differ, such as `model.`. */
function endingIn(byName: ReadonlyMap<string, StoredMatrix>, target: string): StoredMatrix | undefined {
  const found = [...byName].filter(([name]) => name.endsWith(`.${target}`) || target.endsWith(`.${name}`));
  return found.length === 1 ? found[0]![1] : undefined;
}
