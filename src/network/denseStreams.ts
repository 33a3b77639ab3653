import type { Rows } from './operations/rows.ts';

/**
 * The residual streams that the dense network has before its blocks, of some windows. Passes that share one start where
 * their variants first differ, and do not compute again what an earlier pass has left here.
 */
export class DenseStreams {
  private readonly known = new Map<number, readonly Rows[]>();

  /** @param every one of so many blocks has its stream kept, beside what the head reads; 1 keeps all. */
  constructor(
    private readonly layers: number,
    private readonly every = 1,
  ) {}

  /** The stream of each batch before a block, or (`layers`) behind the last one; undefined if it is not kept. */
  before(layer: number): readonly Rows[] | undefined {
    return this.known.get(layer);
  }

  keep(layer: number, batches: readonly Rows[]): void {
    if (layer % this.every === 0 || layer === this.layers) this.known.set(layer, [...batches]);
  }

  /** The last block at or before `layer` whose stream is known; 0 if none is. */
  startOf(layer: number): number {
    for (let start = layer; start > 0; start--) if (this.known.has(start)) return start;
    return 0;
  }
}
