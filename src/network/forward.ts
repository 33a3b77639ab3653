import { type Pause, yieldOrCancel } from '../base/eventLoop.ts';
import type { Backend } from '../devices/backend.ts';
import { weightOfModule } from '../model/names/moduleOfWeight.ts';
import { type Batch, batchesOf } from './batches.ts';
import { applyBlock, enterMixture, type Passage } from './blocks/applyBlock.ts';
import { type Block, freeBlock, linearsOf, withReplaced } from './blocks/block.ts';
import { BlocksAhead } from './blocks/blocksAhead.ts';
import { freeLinear, uploadLinear } from './blocks/deviceLinear.ts';
import { type MixedStream, passExperts, replacesExperts } from './blocks/passExperts.ts';
import { readBlock } from './blocks/readBlock.ts';
import type { DenseStreams } from './denseStreams.ts';
import { embed } from './embed.ts';
import { beforeHead, headModule } from './head.ts';
import type { Network } from './network.ts';
import type { Linear } from './operations/linear.ts';
import { rotationTable } from './operations/rope.ts';
import type { Rows } from './operations/rows.ts';
import type { Run } from './operations/run.ts';
import { type LogitPart, passHeads } from './passHeads.ts';
import { refuseIfTooLarge } from './passMemory.ts';
import { readBeforeHead } from './readEnding.ts';
import { replacement, type Variant } from './variant.ts';

export interface ForwardRequest {
  readonly network: Network;
  readonly backend: Backend;
  /** Token ids of each window; windows do not see each other. */
  readonly windows: readonly ArrayLike<number>[];
  /** Networks that pass beside the dense one, in the same reading of the weights. */
  readonly variants?: readonly Variant[];
  /**
   * Receives the logits of all positions: all rows of some columns, then all rows of the next columns. Without it, no
   * logits are computed, and the head is not read.
   */
  readonly take?: ((part: LogitPart) => Promise<void> | void) | undefined;
  /** Receives what the layers of the dense network read; only of a pass without variants. */
  readonly observer?: InputObserver | undefined;
  /** Of the same windows; those that are missing are added. Blocks that no variant needs are not read. */
  readonly dense?: DenseStreams | undefined;
  /** Lets others use the device; awaited at least every 100 ms. */
  readonly letOthers?: Pause | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Share of the work done, in [0, 1]. */
  readonly progress?: ((share: number) => void) | undefined;
}

export interface InputObserver {
  /** Some rows of X^T for layers that read the same; of a block, each batch follows the one before. */
  readonly inputs: NonNullable<Run['observe']>;
  /** Called when all windows have passed a block, or (null) the place of the head. */
  readonly passed: (layer: number | null) => Promise<void>;
}

/** A network on its way through the blocks. */
interface Stream {
  /** Undefined for the dense network. */
  readonly variant: Variant | undefined;
  /** The residual stream of each batch; undefined while it is that of the dense network. */
  batches: Rows[] | undefined;
}

/** What all steps of a pass share. */
interface Pass extends Omit<ForwardRequest, 'windows' | 'variants' | 'progress'> {
  readonly run: Run;
  readonly batches: readonly Batch[];
  /** Notes that `batches` batches passed a block or the head. */
  readonly advance: (batches: number) => void;
}

/**
 * Passes the windows through the dense network and its variants. Each block is read once, and everything passes through
 * it before the next one. Memory: one block with one of its experts, the next block if both are small, the factors of
 * one variant, and the residual streams; the head passes in stripes.
 * @throws RankscopeError 'not-finite' for weights or logits that are NaN or infinite, 'wrong-use' for ids without an
 *   embedding, 'too-large' if the device has too little memory for one block, before anything is read, 'cancelled'
 */
export async function forward(request: ForwardRequest): Promise<void> {
  const { network, backend, windows, variants = [], take, observer, dense, letOthers, signal, progress } = request;
  const layers = network.decoder.layers.length;
  const batches = batchesOf(windows);
  const room = refuseIfTooLarge(network, backend, variants, Math.max(0, ...batches.map(({ rows }) => rows)));
  const steps = (layers + 1) * (variants.length + 1) * batches.length;
  let done = 0;
  const advance = (count: number) => {
    done += count;
    progress?.(done / steps);
  };
  const yielding = yieldOrCancel(signal, network.weights.subject);
  const pause = () => letOthers?.() ?? yielding();
  const run = { backend, pause, signal, observe: observer?.inputs };
  const pass: Pass = { ...request, run, batches, advance };
  const first = dense && !observer ? dense.startOf(firstReplaced(network, variants)) : 0;
  const streams = await start(pass, variants, first);
  advance(first * streams.length * batches.length);
  const blocks = new BlocksAhead(network, backend, room, signal);
  try {
    for (let layer = first; layer < layers; layer++) {
      await passBlock(pass, layer, streams, blocks);
      await observer?.passed(layer);
    }
  } finally {
    await blocks.close();
  }
  if (observer) await observeHead(pass, streams[0]!);
  await observer?.passed(null);
  const total = (variants.length + 1) * batches.length;
  const before = done;
  const passed = (share: number) => advance(before + Math.round(share * total) - done);
  if (!take) return passed(1);
  const ended = streams.map(({ variant, batches: own }) => ({ variant, batches: own ?? streams[0]!.batches! }));
  await passHeads({ run: { ...run, observe: undefined }, network, batches, take, progress: passed }, ended);
}

/** The first block that a variant changes; 0 where one has other embeddings, or no variant changes a block. */
function firstReplaced({ prefix, modules, decoder }: Network, variants: readonly Variant[]): number {
  const embeddings = [modules.embedding, modules.positions, modules.projectIn];
  if (
    variants.some(
      ({ network, replaced }) => network || embeddings.some((each) => replaced.has(`${prefix}${each}.weight`)),
    )
  )
    return 0;
  const layer = decoder.layers.findIndex((_, number) =>
    variants.some((each) => changes(each, blockPath({ prefix, modules }, number))),
  );
  return layer < 0 ? (variants.length > 0 ? decoder.layers.length : 0) : layer;
}

const blockPath = ({ prefix, modules }: Pick<Network, 'prefix' | 'modules'>, layer: number) =>
  `${prefix}${modules.layers}.${layer}.`;

const changes = ({ replaced }: Variant, path: string) => [...replaced.keys()].some((name) => name.startsWith(path));

/**
 * Embeds the tokens: in the dense network, and in variants that have another embedding.
 * @param first the block before which the streams of the dense network are known, or 0
 */
async function start(
  { network, run, batches, dense, signal }: Pass,
  variants: readonly Variant[],
  first: number,
): Promise<Stream[]> {
  const { embedding, positions, projectIn } = network.modules;
  const streams: Stream[] = [];
  for (const variant of [undefined, ...variants]) {
    const known = variant ? undefined : dense?.before(first);
    if (known) {
      streams.push({ variant, batches: [...known] });
      continue;
    }
    const whole = variant ? variant.network : network;
    const own = async (module: string | undefined) => replacement(network, variant, module, signal);
    const [table, ...others] = [await own(embedding), await own(positions), await own(projectIn)];
    if (!whole && !table && others.every((each) => !each)) {
      streams.push({ variant, batches: undefined });
      continue;
    }
    const { weights, prefix, decoder } = whole ?? network;
    const parts = {
      network: whole ?? network,
      run,
      table: table ?? weights.linear(prefix + embedding, undefined, decoder.embeddingWidth),
      positions: others[0],
      projectIn: others[1],
      signal,
    };
    const rows: Rows[] = [];
    for (const { windows } of batches) rows.push(await embed(parts, windows));
    if (!variant) dense?.keep(0, rows);
    streams.push({ variant, batches: rows });
  }
  return streams;
}

async function passBlock(
  pass: Pass,
  layer: number,
  [dense, ...others]: readonly Stream[],
  blocks: BlocksAhead,
): Promise<void> {
  const { network, backend, signal } = pass;
  const path = blockPath(network, layer);
  const known = pass.observer ? undefined : pass.dense?.before(layer + 1);
  if (known && !others.some(({ variant, batches }) => batches || changes(variant!, path))) {
    dense!.batches = [...known];
    pass.advance((others.length + 1) * pass.batches.length);
    return;
  }
  const block = await blocks.read(layer);
  const place = placeOf(network, layer);
  try {
    const entered: MixedStream[] = [];
    // A variant that differs from this block on starts with what the dense network, the last to pass, had before it.
    for (const stream of [...others, dense!]) {
      const { variant } = stream;
      if (variant?.network) continue;
      if (known && !variant) {
        dense!.batches = [...known];
        pass.advance(pass.batches.length);
        continue;
      }
      const own = await replacedLinears(backend, linearsOf(block), variant, signal);
      try {
        if (!stream.batches && own.size === 0 && !replacesExperts(block, variant)) {
          pass.advance(pass.batches.length);
          continue;
        }
        stream.batches ??= [...dense!.batches!];
        const passed = withReplaced(block, (linear) => own.get(linear) ?? linear);
        const part = { variant, batches: stream.batches, shared: dense!.batches };
        await passBatches(pass, place, part, passed, entered);
      } finally {
        for (const linear of own.values()) freeLinear(backend, linear);
      }
    }
    await passExperts(pass.run, block, entered);
    pass.dense?.keep(layer + 1, dense!.batches!);
  } finally {
    freeBlock(backend, block);
  }
  for (const { variant, batches } of others) {
    const whole = variant?.network;
    if (!whole) continue;
    await withBlock(pass, whole, layer, async (block) => {
      const entered: MixedStream[] = [];
      const part = { variant: undefined, batches: batches!, shared: undefined };
      await passBatches(pass, placeOf(whole, layer), part, block, entered);
      await passExperts(pass.run, block, entered);
    });
  }
}

async function withBlock(
  { backend, signal }: Pass,
  network: Network,
  layer: number,
  use: (block: Block) => Promise<void>,
): Promise<void> {
  const block = await readBlock(network, backend, layer, signal);
  try {
    await use(block);
  } finally {
    freeBlock(backend, block);
  }
}

/** Where in a network rows pass. */
type Place = Pick<Passage, 'network' | 'settings' | 'rotationsOf'>;

function placeOf(network: Network, layer: number): Place {
  const settings = network.decoder.layers[layer]!;
  return { network, settings, rotationsOf: rotationTable(settings.attention.rope) };
}

/** The stream of one network: rows of each batch, and those among them that others may hold as well. */
interface OwnStream {
  readonly variant: Variant | undefined;
  readonly batches: Rows[];
  readonly shared: readonly Rows[] | undefined;
}

/** Passes the rows of all batches through a block, in place; up to its experts, if it has any. */
async function passBatches(
  { run, batches, advance }: Pass,
  place: Place,
  { variant, batches: own, shared }: OwnStream,
  block: Block,
  entered: MixedStream[],
): Promise<void> {
  for (const [k, { lengths }] of batches.entries()) {
    const passage = { ...place, run, lengths };
    const rows = own[k]!;
    if (place.settings.feedForward.experts) {
      const mixture = await enterMixture(passage, block, rows);
      entered.push({ variant, batches: own, batch: k, passage, entered: mixture });
    } else own[k] = await applyBlock(passage, block, rows, rows !== shared?.[k]);
    advance(1);
  }
}

/** Shows the observer what the head would read. */
async function observeHead(pass: Pass, { batches }: Stream): Promise<void> {
  const { network, backend, run, signal } = pass;
  const owned: Linear[] = [];
  try {
    const ending = await readBeforeHead(network, backend, owned, signal);
    for (const rows of batches!) {
      await run.observe?.(await beforeHead(run, rows, ending), [{ name: headModule(network) }]);
    }
  } finally {
    for (const linear of owned) freeLinear(backend, linear);
  }
}

/** What a variant has in place of these layers; the caller frees it. */
async function replacedLinears(
  backend: Backend,
  layers: readonly Linear[],
  variant: Variant | undefined,
  signal: AbortSignal | undefined,
): Promise<Map<Linear, Linear>> {
  const replaced = new Map<Linear, Linear>();
  // All at once, because their factors may be found side by side.
  const found = await Promise.allSettled(
    layers.map(async ({ name }) => variant?.replaced.get(weightOfModule(name))?.(signal)),
  );
  try {
    for (const [k, layer] of layers.entries()) {
      const stored = found[k]!;
      if (stored.status === 'rejected') throw stored.reason;
      if (stored.value) replaced.set(layer, await uploadLinear(backend, layer.name, stored.value, layer.bias, signal));
    }
    return replaced;
  } catch (error) {
    for (const linear of replaced.values()) freeLinear(backend, linear);
    throw error;
  }
}
