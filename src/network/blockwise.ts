import { type Pause, yieldOrCancel } from '../base/eventLoop.ts';
import type { Backend } from '../devices/backend.ts';
import { batchesOf, mostRows } from './batches.ts';
import type { Passage } from './blocks/applyBlock.ts';
import { type Block, freeBlock } from './blocks/block.ts';
import { passRows } from './blocks/passRows.ts';
import { readBlock } from './blocks/readBlock.ts';
import type { BlockNorm } from './configuration/architectures.ts';
import { embed } from './embed.ts';
import type { Network } from './network.ts';
import type { Norm } from './operations/norm.ts';
import { rotationTable } from './operations/rope.ts';
import type { Rows } from './operations/rows.ts';
import type { Run } from './operations/run.ts';
import { refuseIfTooLarge } from './passMemory.ts';
import type { Factors } from './variant.ts';

/** The residual streams of some windows before a block, in batches. */
export interface Streams {
  readonly dense: readonly Rows[];
  /** The same rows as `dense` while nothing was replaced. */
  readonly compressed: readonly Rows[];
}

export interface WalkRequest {
  readonly network: Network;
  readonly backend: Backend;
  /** Token ids of each window. A batch has as many of them as make at most 2,048 rows. */
  readonly windows: readonly ArrayLike<number>[];
  /** Windows that pass beside the others, in batches of their own. */
  readonly heldOut?: readonly ArrayLike<number>[];
  /** Goes on before a block that an earlier walk of the same windows came to. */
  readonly from?: { readonly layer: number; readonly calibration: Streams; readonly heldOut: Streams } | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Lets others use the device; awaited at least every 100 ms. */
  readonly pause?: Pause | undefined;
  /** Share of the blocks that are done, in [0, 1]. */
  readonly progress?: ((share: number) => void) | undefined;
}

/** Streams before a block, with what they pass it with. */
export interface BlockRows extends Streams {
  /** Of each batch. */
  readonly passages: readonly Passage[];
  /** What the block gives for the dense stream. It is computed once, for the walk as well. */
  readonly targets: () => Promise<readonly Rows[]>;
  /** Notes the targets where something else had to compute them. */
  readonly haveTargets: (targets: readonly Rows[]) => void;
}

export interface BlockVisit {
  readonly layer: number;
  /** The dense block in device memory, which belongs to the walk. */
  readonly block: Block;
  readonly calibration: BlockRows;
  readonly heldOut: BlockRows;
}

/** What a block is in the compressed network, where it differs from the dense one. */
export interface BlockChange {
  /** By the names of modules (`Linear.name`, `StoredModule.name`), such as `model.layers.0.mlp.up_proj`. */
  readonly linears?: ReadonlyMap<string, Factors> | undefined;
  /** In the form of `Block.norms`: with the decoder's offset added. */
  readonly norms?: Readonly<Partial<Record<BlockNorm, Norm>>> | undefined;
  /** What the changed block gives for the calibration stream, where the visit knows: saves a pass. */
  readonly outputs?: readonly Rows[] | undefined;
}

/**
 * Walks through the blocks of a network with two residual streams, that of the dense network and that of the network
 * as it has become: `visit` is called before each block, returns what replaces its layers and norms, and both streams
 * pass. Each block is read once. Memory: on the device one block with one of its experts and one batch; beside it the
 * streams, before and behind the block. Returns the streams behind the last block.
 * @throws RankscopeError 'not-finite' for weights that are NaN or infinite, 'wrong-use' for ids without an embedding,
 *   'too-large' if the device has too little memory for one block, before anything is read, 'cancelled'; what `visit`
 *   throws
 */
export async function walkBlocks(
  request: WalkRequest,
  visit: (block: BlockVisit) => Promise<BlockChange>,
): Promise<{ readonly calibration: Streams; readonly heldOut: Streams }> {
  const { network, backend, signal, from, progress } = request;
  const yielding = yieldOrCancel(signal, network.weights.subject);
  const pause = () => request.pause?.() ?? yielding();
  const run: Run = { backend, pause, signal };
  const sets = [request.windows, request.heldOut ?? []].map(batchesOf);
  const lengths = sets.map((batches) => batches.map((batch) => batch.lengths));
  refuseIfTooLarge(network, backend, [], Math.max(mostRows(request.windows), mostRows(request.heldOut ?? [])));
  let streams: Streams[] = from ? [from.calibration, from.heldOut] : [];
  if (!from)
    for (const batches of sets) {
      const rows: Rows[] = [];
      for (const { windows } of batches) rows.push(await embedded(network, run, windows));
      streams.push({ dense: rows, compressed: rows });
    }
  const layers = network.decoder.layers.length;
  for (let layer = from?.layer ?? 0; layer < layers; layer++) {
    const settings = network.decoder.layers[layer]!;
    const rotationsOf = rotationTable(settings.attention.rope);
    const block = await readBlock(network, backend, layer, signal);
    try {
      const rows = streams.map((stream, k): BlockRows => {
        const passages = lengths[k]!.map((own) => ({ run, network, settings, lengths: own, rotationsOf }));
        let passed: Promise<readonly Rows[]> | undefined;
        return {
          ...stream,
          passages,
          targets: () => (passed ??= passRows(run, passages, block, stream.dense)),
          haveTargets: (targets) => {
            passed = Promise.resolve(targets);
          },
        };
      });
      const [calibration, heldOut] = rows as [BlockRows, BlockRows];
      const change = await visit({ layer, block, calibration, heldOut });
      streams = [await advanced(run, block, calibration, change, change.outputs)];
      streams.push(await advanced(run, block, heldOut, change, undefined));
    } finally {
      freeBlock(backend, block);
    }
    progress?.((layer + 1) / layers);
  }
  const [calibration, heldOut] = streams as [Streams, Streams];
  return { calibration, heldOut };
}

function embedded(network: Network, run: Run, windows: readonly ArrayLike<number>[]): Promise<Rows> {
  const { weights, prefix, modules, decoder } = network;
  const table = weights.linear(prefix + modules.embedding, undefined, decoder.embeddingWidth);
  return embed({ run, network, table, signal: run.signal }, windows);
}

/** The streams behind a block. */
async function advanced(
  run: Run,
  block: Block,
  rows: BlockRows,
  change: BlockChange,
  known: readonly Rows[] | undefined,
): Promise<Streams> {
  const dense = await rows.targets();
  const isChanged = (change.linears?.size ?? 0) > 0 || Object.keys(change.norms ?? {}).length > 0;
  if (!isChanged && rows.compressed === rows.dense) return { dense, compressed: dense };
  const compressed = known ?? (await passRows(run, rows.passages, block, rows.compressed, change));
  return { dense, compressed };
}
