import type { Backend } from '../../devices/backend.ts';
import type { FeedForward } from '../operations/feedForward.ts';
import type { Linear } from '../operations/linear.ts';
import type { Block, StoredExpert, StoredModule } from './block.ts';
import { freeLinear, uploadLinear } from './deviceLinear.ts';

/** Reads a layer into device memory. */
export function uploadModule(backend: Backend, { name, stored, bias }: StoredModule, signal: AbortSignal | undefined) {
  return uploadLinear(backend, name, stored, bias, signal);
}

/** The layers of an expert, in the order in which they are applied. */
export const modulesOf = ({ gate, up, gateUp, down }: StoredExpert): StoredModule[] =>
  [gate, up, gateUp, down].filter((module) => module !== undefined);

/** An expert of layers in device memory. */
export function expertOf(
  { gate, up, gateUp, down }: StoredExpert,
  layerOf: (module: StoredModule) => Linear,
): FeedForward {
  const of = (module: StoredModule | undefined) => module && layerOf(module);
  return { gate: of(gate), up: of(up), gateUp: of(gateUp), down: layerOf(down) };
}

/** The block with all of its experts in device memory, for networks that stay there. */
export async function withExperts(backend: Backend, block: Block, signal: AbortSignal | undefined): Promise<Block> {
  const layers = new Map<StoredModule, Linear>();
  try {
    for (const expert of block.storedExperts)
      for (const module of modulesOf(expert)) layers.set(module, await uploadModule(backend, module, signal));
    return {
      ...block,
      experts: block.storedExperts.map((expert) => expertOf(expert, (module) => layers.get(module)!)),
    };
  } catch (error) {
    for (const layer of layers.values()) freeLinear(backend, layer);
    throw error;
  }
}
