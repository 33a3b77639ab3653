import type { InputGroup } from '../model/activations.ts';
import { weightOfModule } from '../model/names/moduleOfWeight.ts';
import type { BlockLinear } from './configuration/architectures.ts';
import { headModule } from './head.ts';
import type { Network } from './network.ts';

/** The linear layers of a block that read the same rows. A block has some of these. */
const TOGETHER: readonly (readonly BlockLinear[])[] = [
  ['query', 'key', 'value'],
  ['queryKeyValue'],
  ['output'],
  ['gate', 'up'],
  ['gateUp'],
  ['down'],
  ['router'],
  ['sharedGate', 'sharedUp'],
  ['sharedDown'],
];

/** A group of layers that read the same inputs, with its place in the pass. */
export interface PlacedGroup extends InputGroup {
  /** The block's number; null for the head. */
  readonly layer: number | null;
  readonly inputs: number;
}

/** The groups of linear layers with the same inputs in the order of the pass, by the directory of the checkpoint. */
export function inputGroups(network: Network): PlacedGroup[] {
  const { decoder, modules, weights, prefix } = network;
  const groups: PlacedGroup[] = [];
  const add = (layer: number | null, names: readonly string[]) => {
    const present = names.flatMap((name) => {
      const stored = weights.find(name);
      return stored ? [[name, stored] as const] : [];
    });
    const [first] = present;
    if (!first) return;
    const matrices = present.map(([name, { outputs, inputs }]) => [weightOfModule(name), [outputs, inputs]] as const);
    groups.push({ layer, name: first[0], inputs: first[1].inputs, matrices: Object.fromEntries(matrices) });
  };
  for (const [layer, { feedForward }] of decoder.layers.entries()) {
    const path = `${prefix}${modules.layers}.${layer}.`;
    for (const parts of TOGETHER)
      add(
        layer,
        parts.flatMap((part) => (modules.linears[part] === undefined ? [] : [path + modules.linears[part]])),
      );
    for (let number = 0; modules.expert && number < (feedForward.experts?.count ?? 0); number++) {
      const { down, ...entering } = modules.expert;
      const of = (module: string) => path + module.replace('#', String(number));
      add(layer, Object.values(entering).map(of));
      add(layer, [of(down)]);
    }
  }
  add(null, [headModule(network)]);
  return groups;
}
