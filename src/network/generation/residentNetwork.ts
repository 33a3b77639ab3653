import { yieldOrCancel } from '../../base/eventLoop.ts';
import type { Backend } from '../../devices/backend.ts';
import { applyBlock } from '../blocks/applyBlock.ts';
import { type Block, freeBlock, linearsOf, withReplaced } from '../blocks/block.ts';
import { freeLinear, uploadLinear } from '../blocks/deviceLinear.ts';
import { LayerCache } from '../blocks/layerCache.ts';
import { readBlock } from '../blocks/readBlock.ts';
import type { StoredLinear } from '../blocks/weights.ts';
import { embed } from '../embed.ts';
import { type Ending, passHead } from '../head.ts';
import type { Network } from '../network.ts';
import type { Linear } from '../operations/linear.ts';
import type { Run } from '../operations/run.ts';
import { readEnding } from '../readEnding.ts';
import type { Variant } from '../variant.ts';

export interface LoadOptions {
  /** Stands in place of the network. */
  readonly variant?: Variant | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Share of the blocks that are read, in [0, 1]. */
  readonly progress?: ((share: number) => void) | undefined;
}

/**
 * A network whose blocks and head stay on the device, for windows that grow token by token. The rows of the embedding
 * are read when they are needed.
 */
export class ResidentNetwork {
  private caches: readonly LayerCache[] = [];
  /** The tokens of the window so far. */
  private window: number[] = [];
  private capacity = 0;

  private constructor(
    private readonly network: Network,
    private readonly name: string,
    private readonly run: Run,
    private readonly table: StoredLinear,
    private readonly blocks: readonly Block[],
    private readonly ending: Ending,
    private readonly owned: readonly Linear[],
    private readonly signal: AbortSignal | undefined,
  ) {}

  /**
   * Reads all weights. The caller frees them with `free`.
   * @throws RankscopeError 'too-large' if they do not fit on the device, 'not-finite', 'malformed', 'cancelled'
   */
  static async load(dense: Network, backend: Backend, options: LoadOptions = {}): Promise<ResidentNetwork> {
    const { variant, signal, progress } = options;
    const network = variant?.network ?? dense;
    const { decoder, modules, prefix, weights } = network;
    const run = { backend, pause: yieldOrCancel(signal, weights.subject), signal };
    const blocks: Block[] = [];
    const owned: Linear[] = [];
    const embedding = prefix + modules.embedding;
    const inPlaceOf = (module: string) => variant?.replaced.get(`${module}.weight`)?.(signal);
    const otherTable = await inPlaceOf(embedding);
    const replaced = async (linear: Linear): Promise<Linear> => {
      const stored = linear.name === embedding ? otherTable : await inPlaceOf(linear.name);
      if (!stored) return linear;
      const own = await uploadLinear(backend, linear.name, stored, linear.bias, signal);
      freeLinear(backend, linear);
      return own;
    };
    try {
      for (let layer = 0; layer < decoder.layers.length; layer++) {
        const block = await readBlock(network, backend, layer, signal);
        blocks.push(block);
        for (const linear of linearsOf(block)) {
          const own = await replaced(linear);
          blocks[layer] = withReplaced(blocks[layer]!, (each) => (each === linear ? own : each));
        }
        progress?.((layer + 1) / (decoder.layers.length + 1));
      }
      const ending = await readEnding(network, backend, owned, signal);
      const head = await replaced(ending.head);
      owned.splice(owned.indexOf(ending.head), 1, head);
      const table = otherTable ?? weights.linear(embedding, undefined, decoder.embeddingWidth);
      progress?.(1);
      const name = variant?.name ?? 'the dense network';
      return new ResidentNetwork(network, name, run, table, blocks, { ...ending, head }, owned, signal);
    } catch (error) {
      release(backend, blocks, owned);
      throw error;
    }
  }

  /** Begins a window of at most `capacity` tokens; nothing of an earlier one stays. */
  begin(capacity: number): void {
    this.capacity = capacity;
    this.window = [];
    this.forget();
  }

  /**
   * Passes the next tokens of the window, and hands over the logits of each of them from `ids[first]` on: those of a
   * pass of the whole window, up to rounding. If the window has come to a length at which its rotary positions change,
   * it passes anew.
   * @throws RankscopeError 'not-finite', 'wrong-use' for ids without an embedding, 'cancelled'
   */
  async pass(ids: readonly number[], first: number, take: (logits: Float32Array) => void): Promise<void> {
    for (const id of ids) this.window.push(id);
    const { length } = this.window;
    if (this.caches.every((cache) => cache.fits(length))) return this.passRows(ids, length - ids.length, first, take);
    this.forget();
    return this.passRows(this.window, 0, length - ids.length + first, take);
  }

  free(): void {
    this.freeCaches();
    release(this.run.backend, this.blocks, this.owned);
  }

  private forget(): void {
    this.freeCaches();
    this.caches = this.network.decoder.layers.map(({ attention }) => new LayerCache(attention, this.capacity));
  }

  private freeCaches(): void {
    for (const cache of this.caches) cache.free(this.run.backend);
    this.caches = [];
  }

  /** @param position That of the first id. */
  private async passRows(
    ids: readonly number[],
    position: number,
    first: number,
    take: (logits: Float32Array) => void,
  ): Promise<void> {
    const { network, run, table, signal } = this;
    let x = await embed({ network, run, table, signal, first: position }, [ids]);
    for (const [layer, block] of this.blocks.entries()) {
      const settings = network.decoder.layers[layer]!;
      const passage = { run, network, settings, lengths: [ids.length], rotationsOf: () => null };
      x = await applyBlock({ ...passage, cache: this.caches[layer] }, block, x);
    }
    const kept = { rows: x.rows - first, cols: x.cols, values: x.values.subarray(first * x.cols) };
    const input = { streams: [kept], endings: [this.ending], names: [this.name], lengths: [kept.rows], firstWindow: 0 };
    await passHead(network, run, input, ({ rows, vocabulary, logits }) => {
      for (let row = 0; row < rows; row++) take(logits[0]!.subarray(row * vocabulary, (row + 1) * vocabulary));
    });
  }
}

function release(backend: Backend, blocks: readonly Block[], owned: readonly Linear[]): void {
  for (const block of blocks) freeBlock(backend, block);
  for (const linear of owned) freeLinear(backend, linear);
}
