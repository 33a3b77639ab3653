import { inputGroups } from '../../../network/inputGroups.ts';
import type { Network } from '../../../network/network.ts';

/** What passing a token costs, in multiplications of the linear layers; experts count by those that a token passes. */
export interface NetworkCosts {
  readonly head: number;
  /** From a block on, up to the logits. */
  from(layer: number): number;
}

export function networkCosts(network: Network): NetworkCosts {
  const { layers } = network.decoder;
  const blocks = new Float64Array(layers.length);
  let head = 0;
  for (const { layer, name, matrices } of inputGroups(network)) {
    const size = Object.values(matrices).reduce((sum, [m, n]) => sum + m * n, 0);
    if (layer === null) {
      head += size;
      continue;
    }
    const { experts } = layers[layer]!.feedForward;
    const isExpert = experts !== null && experts !== undefined && isExpertModule(network, name);
    blocks[layer]! += isExpert ? (size * experts.used) / experts.count : size;
  }
  const sums = new Float64Array(layers.length + 1);
  sums[layers.length] = head;
  for (let layer = layers.length - 1; layer >= 0; layer--) sums[layer] = sums[layer + 1]! + blocks[layer]!;
  return { head, from: (layer) => sums[layer]! };
}

function isExpertModule({ modules }: Network, name: string): boolean {
  const patterns = Object.values(modules.expert ?? {}).map((module) => module.split('#')[0]!);
  return patterns.some((start) => name.includes(`.${start}`));
}
