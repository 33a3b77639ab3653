import { yieldOrCancel } from '../../base/eventLoop.ts';
import type { Backend } from '../../devices/backend.ts';
import { weightOfModule } from '../../model/names/moduleOfWeight.ts';
import { applyBlock } from '../blocks/applyBlock.ts';
import { type Block, freeBlock, linearsOf, withReplaced } from '../blocks/block.ts';
import { freeLinear, uploadLinear } from '../blocks/deviceLinear.ts';
import { withExperts } from '../blocks/expert.ts';
import { LayerCache } from '../blocks/layerCache.ts';
import { readBlock } from '../blocks/readBlock.ts';
import type { StoredLinear } from '../blocks/weights.ts';
import { embed } from '../embed.ts';
import { beforeHead, logitsOf, notFinite } from '../head.ts';
import type { Network } from '../network.ts';
import { allFinite } from '../operations/allFinite.ts';
import type { Linear } from '../operations/linear.ts';
import { type Run, withScope } from '../operations/run.ts';
import { type Ending, readEnding } from '../readEnding.ts';
import type { Variant } from '../variant.ts';

export interface LoadOptions {
  /** Stands in place of the network. */
  readonly variant?: Variant | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Share of the blocks that are read, in [0, 1]. */
  readonly progress?: ((share: number) => void) | undefined;
}

/** 64 MB. */
const LOGITS_AT_ONCE = 2 ** 24;

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
    const inPlaceOf = (module: string) => variant?.replaced.get(weightOfModule(module))?.(signal);
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
        blocks.push(await readBlock(network, backend, layer, signal));
        const block = await withExperts(backend, blocks[layer]!, signal);
        blocks[layer] = block;
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
    const read = await beforeHead(run, kept, this.ending);
    const height = Math.max(1, Math.floor(LOGITS_AT_ONCE / this.ending.head.outputs));
    for (let row = 0; row < read.rows; row += height) {
      const rows = Math.min(height, read.rows - row);
      const values = read.values.subarray(row * read.cols, (row + rows) * read.cols);
      const logits = await withScope(run, async (scope) => {
        const some = await scope.upload({ rows, cols: read.cols, values });
        return scope.download(await logitsOf(scope, some, this.ending.head, network.decoder.head));
      });
      for (let k = 0; k < rows; k++) {
        const own = logits.values.subarray(k * logits.cols, (k + 1) * logits.cols);
        if (!allFinite(own)) throw notFinite(network.weights.subject, this.name, 0, position + first + row + k);
        take(own);
      }
    }
  }
}

function release(backend: Backend, blocks: readonly Block[], owned: readonly Linear[]): void {
  for (const block of blocks) freeBlock(backend, block);
  for (const linear of owned) freeLinear(backend, linear);
}
