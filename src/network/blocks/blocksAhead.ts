import type { Backend } from '../../devices/backend.ts';
import type { Network } from '../network.ts';
import { type Block, freeBlock, linearsOf } from './block.ts';
import { readBlock } from './readBlock.ts';

/** Bytes up to which the next block is read while the last one computes. */
const SMALL = 2 ** 26;

/**
 * Reads the blocks of a network one after the other: the next one while a small one computes; of large blocks, one is
 * in memory at a time.
 */
export class BlocksAhead {
  private ahead: { readonly layer: number; readonly block: Promise<Block> } | undefined;

  constructor(
    private readonly network: Network,
    private readonly backend: Backend,
    /** Bytes that a second block may take. */
    private readonly room: number,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** A block, which the caller frees. @throws as `readBlock` does */
  async read(layer: number): Promise<Block> {
    if (this.ahead?.layer !== layer) await this.close();
    const block = await (this.ahead?.block ?? this.start(layer));
    this.ahead = undefined;
    const next = layer + 1;
    if (next < this.network.decoder.layers.length && bytesOf(block) <= Math.min(SMALL, this.room)) {
      this.ahead = { layer: next, block: this.start(next) };
      // Whoever asks for the block gets the error; nobody may.
      this.ahead.block.catch(() => {});
    }
    return block;
  }

  /** Frees a block that was read for nothing. */
  async close(): Promise<void> {
    const block = await this.ahead?.block.catch(() => undefined);
    this.ahead = undefined;
    if (block) freeBlock(this.backend, block);
  }

  private start(layer: number): Promise<Block> {
    return readBlock(this.network, this.backend, layer, this.signal);
  }
}

function bytesOf(block: Block): number {
  const matrices = linearsOf(block).flatMap(({ steps }) => steps.map(({ matrix }) => matrix));
  return matrices.reduce((sum, { rows, cols }) => sum + 4 * rows * cols, 0);
}
