import { RankscopeError } from '../../base/errors.ts';
import { formatBytes } from '../../base/quantities.ts';
import type { Backend } from '../../devices/backend.ts';
import { moduleOfWeight } from '../../model/names/moduleOfWeight.ts';
import { inputGroups } from '../inputGroups.ts';
import type { Network } from '../network.ts';
import { largestBlock } from '../passMemory.ts';

/** Square matrices of the inputs on the device: X X'^T, the inverse root, and what both are multiplied into. */
const SQUARES = 4;

/**
 * Refuses blocks whose truncation does not fit on the device: its weights, the activations of one batch, and the second
 * moments of its widest group.
 * @param rows the most that pass at a time
 * @throws RankscopeError 'too-large' with the bytes, before anything is read
 */
export function refuseIfMomentsTooLarge(
  network: Network,
  backend: Backend,
  isCut: (module: string) => boolean,
  rows: number,
): void {
  const { weights, activations } = largestBlock(network, [], rows);
  const widths = inputGroups(network).flatMap(({ layer, inputs, matrices }) =>
    layer !== null && Object.keys(matrices).some((name) => isCut(moduleOfWeight(name))) ? [inputs] : [],
  );
  const widest = Math.max(0, ...widths);
  const moments = SQUARES * 4 * widest ** 2;
  const needed = weights + activations + moments;
  if (needed <= backend.capacity) return;
  const [all, ofWeights, ofMoments, capacity] = [needed, weights, moments, backend.capacity].map(formatBytes);
  throw new RankscopeError(
    'too-large',
    network.weights.subject,
    `truncating a block needs ${all}, ${ofWeights} for its weights and ${ofMoments} for the second moments of ${widest} inputs; the ${backend.info.name} engine has ${capacity}`,
    'Use an engine with more memory',
  );
}
