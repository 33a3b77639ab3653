import type { Backend } from '../../devices/backend.ts';
import { weightOfModule } from '../../model/names/moduleOfWeight.ts';
import type { BlockNorm } from '../configuration/architectures.ts';
import type { Linear } from '../operations/linear.ts';
import type { Norm } from '../operations/norm.ts';
import type { Rows } from '../operations/rows.ts';
import type { Run } from '../operations/run.ts';
import { type Factors, linearOfFactors, type Variant } from '../variant.ts';
import { applyBlock, enterMixture, type Passage } from './applyBlock.ts';
import { type Block, linearsOf, withReplaced } from './block.ts';
import { freeLinear, uploadLinear } from './deviceLinear.ts';
import { modulesOf } from './expert.ts';
import { type MixedStream, passExperts } from './passExperts.ts';

/** What stands in place of layers and norms of a block. */
interface Replaced {
  /** By the names of modules. */
  readonly linears?: ReadonlyMap<string, Factors> | undefined;
  readonly norms?: Readonly<Partial<Record<BlockNorm, Norm>>> | undefined;
}

/** The batches behind a block in which some layers and norms are replaced. */
export async function passRows(
  run: Run,
  passages: readonly Passage[],
  block: Block,
  batches: readonly Rows[],
  { linears = new Map(), norms }: Replaced = {},
): Promise<Rows[]> {
  const own = new Map<Linear, Linear>();
  try {
    for (const layer of linearsOf(block)) {
      const factors = linears.get(layer.name);
      if (factors) own.set(layer, await uploadFactors(run.backend, layer, factors, run.signal));
    }
    const changed = withReplaced({ ...block, norms: { ...block.norms, ...norms } }, (layer) => own.get(layer) ?? layer);
    const passed: Rows[] = [];
    const entered: MixedStream[] = [];
    const variant = variantOf(block, linears);
    for (const [batch, rows] of batches.entries()) {
      const passage = passages[batch]!;
      if (passage.settings.feedForward.experts) {
        const mixture = await enterMixture(passage, changed, rows);
        entered.push({ variant, batches: passed, batch, passage, entered: mixture });
      } else passed.push(await applyBlock(passage, changed, rows));
    }
    await passExperts(run, changed, entered);
    return passed;
  } finally {
    for (const layer of own.values()) freeLinear(run.backend, layer);
  }
}

/** A layer of factors in place of another, in device memory. The caller frees it. */
export function uploadFactors(
  backend: Backend,
  { name, outputs, inputs, bias }: Pick<Linear, 'name' | 'outputs' | 'inputs' | 'bias'>,
  factors: Factors,
  signal: AbortSignal | undefined,
): Promise<Linear> {
  return uploadLinear(backend, name, linearOfFactors(name, [outputs, inputs], factors), bias, signal);
}

/** The experts that are replaced, which are uploaded one at a time. */
function variantOf({ storedExperts }: Block, linears: ReadonlyMap<string, Factors>): Variant | undefined {
  const replaced = new Map<string, () => Promise<ReturnType<typeof linearOfFactors>>>();
  for (const { name, stored } of storedExperts.flatMap(modulesOf)) {
    const factors = linears.get(name);
    const { outputs, inputs } = stored;
    if (factors) replaced.set(weightOfModule(name), async () => linearOfFactors(name, [outputs, inputs], factors));
  }
  return replaced.size > 0 ? { name: 'compressed', replaced } : undefined;
}
