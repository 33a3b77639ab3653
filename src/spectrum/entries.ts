import { decodeFloats, ENCODED_BYTES, type Encoding } from '../base/encoding.ts';
import { RankscopeError } from '../base/errors.ts';
import { numbersIn } from '../base/numbersIn.ts';
import { seededRandom } from '../base/random.ts';
import type { EntrySums } from '../devices/backend.ts';

/** Statistics of the entries of a matrix, from one pass. */
export interface EntryStatistics {
  readonly count: number;
  /** Summed in f64 from the entries, as a check on the norm from the singular values. */
  readonly frobeniusNorm: number;
  readonly maximum: number;
  /** Robust standard deviation of the bulk: median |w| / 0.6745, hardly affected by outliers and low-rank structure. */
  readonly noiseDeviation: number;
}

/** The quartile of the standard normal distribution: the median of |x| for x of deviation 1 (Hampel 1974). */
const NORMAL_QUARTILE = 0.674489750196082;
/** Entries sampled for the median: its standard error is then 0.5 %, and it takes a millisecond. */
const SAMPLE_LIMIT = 2 ** 16;

/** Arrays for codes of 1, 2 and 4 bytes. */
const CODES: Readonly<Record<1 | 2 | 4, new (buffer: ArrayBufferLike, offset: number, length: number) => Codes>> = {
  1: Uint8Array,
  2: Uint16Array,
  4: Uint32Array,
};
type Codes = Uint8Array | Uint16Array | Uint32Array;

/** Gathers the statistics of a matrix from consecutive parts of its entries in row-major order. */
export class EntryScan {
  private readonly name: string;
  private readonly cols: number;
  private readonly stride: number;
  private readonly sample: Float32Array;
  // One of every `stride` entries is sampled, at a seeded random offset: a fixed offset could follow the columns.
  private readonly random = seededRandom(1);
  private sampled = 0;
  private nextSample = 0;
  private count = 0;
  private sumOfSquares = 0;
  private largest = 0;

  constructor(name: string, rows: number, cols: number, samples = SAMPLE_LIMIT) {
    this.name = name;
    this.cols = cols;
    this.stride = Math.max(1, Math.ceil((rows * cols) / samples));
    this.sample = new Float32Array(Math.ceil((rows * cols) / this.stride));
    this.nextSample = this.placeOf(0);
  }

  /** Largest magnitude so far. */
  get maximum(): number {
    return this.largest;
  }

  /** Sum of squares so far. */
  get squares(): number {
    return this.sumOfSquares;
  }

  /** Adds the next entries. @throws RankscopeError 'not-finite' with the row and column of the first such entry. */
  add(entries: Float32Array): void {
    let squares = 0;
    let maximum = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      const size = Math.abs(entry);
      squares += entry * entry;
      if (size > maximum) maximum = size;
    }
    // The f64 sum of squares of f32 numbers is not finite if and only if one of them is not.
    if (!Number.isFinite(squares)) this.refuse(entries);
    const picked = this.pick(entries, this.sample.subarray(this.sampled));
    for (let i = 0; i < picked.length; i++) picked[i] = Math.abs(picked[i]!);
    this.addSums({ squares, largest: maximum }, entries.length);
  }

  /** Samples the next entries as stored; `addSums` must follow with their sums from the device. */
  sampleStored(encoding: Encoding, bytes: Uint8Array): void {
    const size = ENCODED_BYTES[encoding];
    const codes = numbersIn<Codes>(CODES[size], size, bytes, bytes.length / size);
    const goal = this.sample.subarray(this.sampled);
    const { byteOffset, byteLength, buffer } = this.pick(
      codes,
      codes.slice(0, Math.ceil(codes.length / this.stride) + 1),
    );
    const values = goal.subarray(0, byteLength / size);
    decodeFloats(encoding, new Uint8Array(buffer, byteOffset, byteLength), values);
    for (let i = 0; i < values.length; i++) values[i] = Math.abs(values[i]!);
  }

  /** Adds the sums of the next `count` entries, which have been sampled and are finite. */
  addSums({ squares, largest }: EntrySums, count: number): void {
    this.sumOfSquares += squares;
    this.largest = Math.max(this.largest, largest);
    this.count += count;
  }

  result(): EntryStatistics {
    const median = this.sampled > 0 ? medianOf(this.sample.subarray(0, this.sampled)) : 0;
    return {
      count: this.count,
      frobeniusNorm: Math.sqrt(this.sumOfSquares),
      maximum: this.largest,
      noiseDeviation: median / NORMAL_QUARTILE,
    };
  }

  /** Copies the sampled ones of the next entries to the start of `goal`. */
  private pick<Numbers extends Codes | Float32Array>(entries: Numbers, goal: Numbers): Numbers {
    const first = this.sampled;
    const end = this.count + entries.length;
    while (this.nextSample < end && this.sampled < this.sample.length) {
      goal[this.sampled++ - first] = entries[this.nextSample - this.count]!;
      this.nextSample = this.placeOf(this.sampled);
    }
    return goal.subarray(0, this.sampled - first) as Numbers;
  }

  private placeOf(sample: number): number {
    return sample * this.stride + Math.floor(this.random.uniform() * this.stride);
  }

  private refuse(entries: Float32Array): never {
    const first = entries.findIndex((entry) => !Number.isFinite(entry));
    const place = this.count + first;
    throw new RankscopeError(
      'not-finite',
      this.name,
      `entry [${Math.floor(place / this.cols)}, ${place % this.cols}] is ${entries[first]}`,
      'A matrix with NaN or infinity has no singular values: repair the checkpoint or leave this tensor out',
    );
  }
}

/** The median of numbers that are not negative. */
function medianOf(values: Float32Array): number {
  const middle = values.length >> 1;
  const upper = nthSmallest(values, middle);
  if (values.length % 2 === 1) return upper;
  let below = 0;
  let lower = 0;
  for (let i = 0; i < values.length; i++) {
    if (values[i]! >= upper) continue;
    below++;
    lower = Math.max(lower, values[i]!);
  }
  return below === middle ? (lower + upper) / 2 : upper;
}

/** Bits below those that choose a bin: one for each exponent and the first three digits behind it. */
const BIN_SHIFT = 20;

/** The value at `index` in sorted order: numbers that are not negative are in the order of their bits. */
function nthSmallest(values: Float32Array, index: number): number {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const counts = new Uint32Array(2 ** (32 - BIN_SHIFT));
  for (let i = 0; i < bits.length; i++) counts[bits[i]! >>> BIN_SHIFT]!++;
  let bin = 0;
  let before = 0;
  while (before + counts[bin]! <= index) before += counts[bin++]!;
  const inBin = new Float32Array(counts[bin]!);
  let found = 0;
  for (let i = 0; i < bits.length; i++) if (bits[i]! >>> BIN_SHIFT === bin) inBin[found++] = values[i]!;
  return quickselect(inBin, index - before);
}

/** The value at `index` in sorted order (Hoare 1961). Reorders the values. */
function quickselect(values: Float32Array, index: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const pivot = values[(low + high) >> 1]!;
    let i = low;
    let j = high;
    while (i <= j) {
      while (values[i]! < pivot) i++;
      while (values[j]! > pivot) j--;
      if (i > j) break;
      [values[i], values[j]] = [values[j]!, values[i]!];
      i++;
      j--;
    }
    if (index <= j) high = j;
    else if (index >= i) low = i;
    else return pivot;
  }
  return values[index]!;
}
