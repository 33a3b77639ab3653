import { weightOfModule } from '../../model/names/moduleOfWeight.ts';
import type { Linear } from '../operations/linear.ts';
import type { Rows } from '../operations/rows.ts';
import type { Run } from '../operations/run.ts';
import type { Variant } from '../variant.ts';
import { type Entered, leaveMixture, type Passage, passExpert } from './applyBlock.ts';
import type { Block, StoredExpert, StoredModule } from './block.ts';
import { freeLinear } from './deviceLinear.ts';
import { expertOf, modulesOf, uploadModule } from './expert.ts';

/** A batch of a network that has come to the experts of a block. */
export interface MixedStream {
  readonly variant: Variant | undefined;
  /** The residual streams, of which that with the number `batch` is replaced behind the experts. */
  readonly batches: Rows[];
  readonly batch: number;
  readonly passage: Passage;
  readonly entered: Entered;
}

/** Whether a variant replaces a layer of an expert. */
export function replacesExperts({ storedExperts }: Block, variant: Variant | undefined): boolean {
  return storedExperts.some((expert) => modulesOf(expert).some(({ name }) => replacement(variant, name)));
}

const replacement = (variant: Variant | undefined, name: string) => variant?.replaced.get(weightOfModule(name));

/**
 * Passes everything through the experts of a block, one expert after the other, so that no more than one is in device
 * memory. One that no token has chosen is not read.
 */
export async function passExperts(run: Run, block: Block, streams: readonly MixedStream[]): Promise<void> {
  for (const [number, expert] of block.storedExperts.entries()) await passOne(run, number, expert, streams);
  for (const { batches, batch, passage, entered } of streams)
    batches[batch] = await leaveMixture(passage, block, entered);
}

async function passOne(run: Run, number: number, expert: StoredExpert, streams: readonly MixedStream[]): Promise<void> {
  const { backend, signal } = run;
  const shared = new Map<StoredModule, Linear>();
  const layersOf = async (variant: Variant | undefined, held: Map<StoredModule, Linear>) => {
    const layers = new Map<StoredModule, Linear>();
    for (const module of modulesOf(expert)) {
      const own = replacement(variant, module.name);
      const target = own ? held : shared;
      const stored = own ? await own(signal) : module.stored;
      const known = target.get(module) ?? (await uploadModule(backend, { ...module, stored }, signal));
      target.set(module, known);
      layers.set(module, known);
    }
    return expertOf(expert, (module) => layers.get(module)!);
  };
  try {
    for (const variant of new Set(streams.map((stream) => stream.variant))) {
      const own = streams.filter((stream) => stream.variant === variant);
      // What a variant replaces is asked for even if no token needs it: its error belongs to the variant.
      const isReplaced = modulesOf(expert).some(({ name }) => replacement(variant, name));
      if (!isReplaced && own.every(({ entered }) => entered.mixing.chosen[number]!.length === 0)) continue;
      const held = new Map<StoredModule, Linear>();
      try {
        const part = await layersOf(variant, held);
        for (const { passage, entered } of own) await passExpert(passage, entered, number, part);
      } finally {
        for (const layer of held.values()) freeLinear(backend, layer);
      }
    }
  } finally {
    for (const layer of shared.values()) freeLinear(backend, layer);
  }
}
