import type { AttentionSettings, Rope } from '../configuration/decoder.ts';
import { type AttentionInput, attention } from '../operations/attention.ts';
import { cachedAttention } from '../operations/cachedAttention.ts';
import { type Rotations, rotate, rotations } from '../operations/rope.ts';
import { type RopeFrequencies, ropeFrequencies } from '../operations/ropeFrequencies.ts';
import { emptyRows, type Rows } from '../operations/rows.ts';
import type { Run } from '../operations/run.ts';

/** Keys and values of all positions that have passed one layer, so that the next one costs no more than itself. */
export class LayerCache {
  private readonly key: Rows;
  private readonly value: Rows;
  private readonly rotationsAt: (length: number) => Rotations | null;
  private length = 0;

  constructor(
    private readonly settings: AttentionSettings,
    private readonly capacity: number,
  ) {
    const cols = settings.keyHeads * settings.headSize;
    this.key = emptyRows(capacity, cols);
    this.value = emptyRows(capacity, cols);
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
  async attend(run: Run, { query, key, value }: AttentionInput): Promise<Rows> {
    const { headSize } = this.settings;
    const [before, rows] = [this.length, query.rows];
    const length = before + rows;
    if (length > this.capacity) throw new Error(`a cache of ${this.capacity} positions cannot hold ${length}`);
    const turning = this.rotationsAt(length);
    if (turning) for (const part of [query, key]) rotate(part, 0, rows, headSize, turning, before);
    this.key.values.set(key.values, before * key.cols);
    this.value.values.set(value.values, before * value.cols);
    this.length = length;
    if (before > 0) return cachedAttention(run, query, this.key, this.value, length, this.settings);
    const out = emptyRows(rows, this.settings.heads * headSize);
    await attention(run, { query, key, value }, 0, rows, this.settings, out);
    return out;
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
    const turning = rotations(rope, frequencies, capacity);
    known.push({ frequencies, turning });
    // Windows grow: what two lengths ago was right will not be again.
    if (known.length > 2) known.shift();
    return turning;
  };
}

function areEqual(left: RopeFrequencies, right: RopeFrequencies): boolean {
  return left.magnitude === right.magnitude && left.frequencies.every((value, i) => value === right.frequencies[i]);
}
