import type { AttentionInput, Backend, Matrix } from '../../devices/backend.ts';
import type { AttentionSettings, Rope } from '../configuration/decoder.ts';
import { type Rotations, rotate, rotations } from '../operations/rope.ts';
import { type RopeFrequencies, ropeFrequencies } from '../operations/ropeFrequencies.ts';
import type { Scope } from '../operations/run.ts';

/**
 * Keys and values of all positions that have passed one layer, in device memory, so that the next one costs no more
 * than itself. The owner frees them.
 */
export class LayerCache {
  private held: Pick<AttentionInput, 'key' | 'value'> | undefined;
  private readonly rotationsAt: (length: number) => Rotations | null;
  private length = 0;

  constructor(
    private readonly settings: AttentionSettings,
    private readonly capacity: number,
  ) {
    this.rotationsAt = rotationsUpTo(settings.rope, capacity);
  }

  /**
   * Whether a window of `length` positions turns the keys as they are turned here. Some scalings of rotary positions
   * have frequencies that depend on it: then all positions must pass anew, in deeper layers even their values change.
   */
  fits(length: number): boolean {
    return this.length === 0 || this.rotationsAt(this.length) === this.rotationsAt(length);
  }

  /** Adds the keys and values of positions that follow those of earlier calls, and attends to all of them. */
  async attend(scope: Scope, { query, key, value }: AttentionInput): Promise<Matrix> {
    const { backend, signal } = scope;
    const { heads, headSize } = this.settings;
    const [before, rows] = [this.length, query.rows];
    const length = before + rows;
    if (length > this.capacity) throw new Error(`a cache of ${this.capacity} positions cannot hold ${length}`);
    const turning = this.rotationsAt(length);
    if (turning) for (const part of [query, key]) await rotate(scope, part, 0, rows, headSize, turning, before);
    const all = await this.hold(backend);
    for (const [whole, part] of [
      [all.key, key],
      [all.value, value],
    ] as const) {
      const values = await backend.download(part);
      await backend.upload(whole, before, rows, (out) => out.set(values));
    }
    this.length = length;
    const out = await scope.take(rows, heads * headSize);
    const spans = [{ row: 0, rows, keyRow: 0, keys: length }];
    await backend.network.attend(out, { query, ...all }, { ...this.settings, spans, signal });
    return out;
  }

  free(backend: Backend): void {
    for (const matrix of Object.values(this.held ?? {})) backend.free(matrix);
    this.held = undefined;
  }

  private async hold(backend: Backend): Promise<Pick<AttentionInput, 'key' | 'value'>> {
    if (this.held) return this.held;
    const cols = this.settings.keyHeads * this.settings.headSize;
    const key = await backend.allocate(this.capacity, cols);
    try {
      this.held = { key, value: await backend.allocate(this.capacity, cols) };
      return this.held;
    } catch (error) {
      backend.free(key);
      throw error;
    }
  }
}

/** The rotations of windows of any length up to `capacity`; the same object as long as the frequencies are the same. */
function rotationsUpTo(rope: Rope | null, capacity: number): (length: number) => Rotations | null {
  const known: { readonly frequencies: RopeFrequencies; readonly turning: Rotations }[] = [];
  return (length) => {
    if (!rope) return null;
    const frequencies = ropeFrequencies(rope, length);
    const found = known.find((each) => areEqual(each.frequencies, frequencies));
    if (found) return found.turning;
    const turning = rotations(frequencies, capacity);
    known.push({ frequencies, turning });
    // Windows grow: what two lengths ago was right will not be again.
    if (known.length > 2) known.shift();
    return turning;
  };
}

function areEqual(left: RopeFrequencies, right: RopeFrequencies): boolean {
  return left.magnitude === right.magnitude && left.frequencies.every((value, i) => value === right.frequencies[i]);
}
