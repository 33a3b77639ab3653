import { RankscopeError } from '../base/errors.ts';
import { formatBytes } from '../base/quantities.ts';
import type { Backend } from '../devices/backend.ts';
import { weightOfModule } from '../model/names/moduleOfWeight.ts';
import { LINEAR_SHAPES } from './blocks/shapes.ts';
import type { StoredLinear } from './blocks/weights.ts';
import type { BlockLinear } from './configuration/architectures.ts';
import type { Network } from './network.ts';
import type { Variant } from './variant.ts';

/** Bytes on the device while one block passes. */
export interface BlockMemory {
  readonly layer: number;
  /** Of the block with its largest expert, and of what a variant has in place of its matrices. */
  readonly weights: number;
  readonly activations: number;
}

/**
 * What the block with the most weights and activations takes, from shapes alone.
 * @param rows the most that pass at a time
 */
export function largestBlock(network: Network, variants: readonly Variant[], rows: number): BlockMemory {
  const networks = [network, ...variants.flatMap(({ network: own }) => own ?? [])];
  const blocks = networks.flatMap((each) =>
    each.decoder.layers.map((_, layer) => blockMemory(each, each === network ? variants : [], layer, rows)),
  );
  return blocks.reduce((most, block) => (total(block) > total(most) ? block : most));
}

/**
 * The bytes that the device has beside the largest block.
 * @throws RankscopeError 'too-large' with the bytes that are missing, if it does not fit on the device
 */
export function refuseIfTooLarge(
  network: Network,
  backend: Backend,
  variants: readonly Variant[],
  rows: number,
): number {
  const block = largestBlock(network, variants, rows);
  if (total(block) <= backend.capacity) return backend.capacity - total(block);
  const [needed, weights, activations, capacity] = [
    total(block),
    block.weights,
    block.activations,
    backend.capacity,
  ].map(formatBytes);
  throw new RankscopeError(
    'too-large',
    network.weights.subject,
    `block ${block.layer + 1} needs ${needed}, ${weights} for its weights and ${activations} for ${rows} tokens; the ${backend.info.name} engine has ${capacity}`,
    'Use shorter windows, or an engine with more memory',
  );
}

const total = ({ weights, activations }: BlockMemory): number => weights + activations;

/** Where the weights of a block are, by their modules. */
export interface BlockParts {
  readonly parts: ReadonlyMap<BlockLinear, StoredLinear>;
  /** Gate, up and down of each. */
  readonly experts: readonly (readonly StoredLinear[])[];
  /** All of them by their names. */
  readonly named: ReadonlyMap<string, StoredLinear>;
}

export function blockParts({ modules, weights, prefix, decoder }: Network, layer: number): BlockParts {
  const settings = decoder.layers[layer]!;
  const path = `${prefix}${modules.layers}.${layer}.`;
  const { experts } = settings.feedForward;
  const named = new Map<string, StoredLinear>();
  const find = (module: string) => {
    const stored = weights.find(path + module);
    if (stored) named.set(path + module, stored);
    return stored;
  };
  const parts = new Map<BlockLinear, StoredLinear>();
  for (const [part, module] of Object.entries(modules.linears) as [BlockLinear, string][]) {
    const { blocks } = LINEAR_SHAPES[part];
    if (blocks !== 'all' && blocks !== (experts ? 'experts' : 'plain')) continue;
    const stored = find(module);
    if (stored) parts.set(part, stored);
  }
  const own = Array.from({ length: (modules.expert && experts?.count) ?? 0 }, (_, number) =>
    Object.values(modules.expert!).flatMap((module) => find(module.replace('#', String(number))) ?? []),
  );
  return { parts, experts: own, named };
}

/** The most entries between the projections of a feed-forward part. */
export function innerOf({ parts, experts }: BlockParts): number {
  const downs = [parts.get('down'), parts.get('sharedDown'), ...experts.flat()];
  return Math.max(0, ...downs.map((each) => each?.inputs ?? 0));
}

function blockMemory(network: Network, variants: readonly Variant[], layer: number, rows: number): BlockMemory {
  const block = blockParts(network, layer);
  const { parts, experts, named } = block;
  const largest = Math.max(0, ...experts.map(parametersOf));
  // Factors are at most as large as what they replace.
  const replaced = variants.map(({ replaced: own }) =>
    parametersOf([...named].flatMap(([name, stored]) => (own.has(weightOfModule(name)) ? [stored] : []))),
  );
  return {
    layer,
    weights: 4 * (parametersOf([...parts.values()]) + largest + Math.max(0, ...replaced)),
    activations: 4 * rows * activationsOf(network, layer, parts, innerOf(block)),
  };
}

export const parametersOf = (parts: readonly StoredLinear[]): number =>
  parts.reduce((sum, { factors }) => sum + factors.reduce((own, { source }) => own + source.rows * source.cols, 0), 0);

/** The most numbers of a row that are held at the same time while `applyBlock` works. */
function activationsOf(
  { decoder: { width, parallel, layers } }: Network,
  layer: number,
  parts: ReadonlyMap<BlockLinear, StoredLinear>,
  inner: number,
): number {
  const { attention, feedForward } = layers[layer]!;
  const { heads, keyHeads, headSize } = attention;
  const [queries, all] = [heads * headSize, (heads + 2 * keyHeads) * headSize];
  const read = parts.has('queryKeyValue') ? 2 * all : all;
  const attended = Math.max(width + read, all + queries, queries + width);
  const projected = parts.has('gateUp') ? 4 * inner : 2 * inner;
  const fed = width + Math.max(projected, inner + width, feedForward.experts?.count ?? 0);
  return width + Math.max((parallel ? width : 0) + attended, fed);
}
