import { decodeFloats, ENCODED_BYTES, type Encoding } from '../base/encoding.ts';
import { RankscopeError } from '../base/errors.ts';
import { numbersIn } from '../base/numbersIn.ts';
import { seededRandom } from '../base/random.ts';
import type { EntrySums } from '../devices/backend.ts';

/** What one pass over the entries of a matrix tells. */
export interface EntryStatistics {
  readonly count: number;
  /** Summed in f64, unlike the norm of the singular values, so the two check each other. */
  readonly frobeniusNorm: number;
  readonly maximum: number;
  /** Robust standard deviation of the entries' bulk: median |w| / 0.6745, which a few outliers and low-rank structure hardly move. */
  readonly noiseDeviation: number;
}

/** The quartile of the standard normal distribution: the median of |x| for x of deviation 1 (Hampel 1974). */
const NORMAL_QUARTILE = 0.674489750196082;
/** Entries the median is taken of. Its standard error is then 0.2 %, and finding it takes some milliseconds. */
const SAMPLE_LIMIT = 2 ** 18;

/** Whole numbers of so many bytes. */
const CODES: Readonly<Record<1 | 2 | 4, new (buffer: ArrayBufferLike, offset: number, length: number) => Codes>> = {
  1: Uint8Array,
  2: Uint16Array,
  4: Uint32Array,
};
type Codes = Uint8Array | Uint16Array | Uint32Array;

/** Gathers the statistics of a matrix from its entries in row-major order, piece by piece. */
export class EntryScan {
  private readonly name: string;
  private readonly cols: number;
  private readonly stride: number;
  private readonly sample: Float32Array;
  // One entry of every `stride` is sampled, at a seeded random place: a fixed place would follow the columns.
  private readonly random = seededRandom(1);
  private sampled = 0;
  private nextSample = 0;
  private count = 0;
  private sumOfSquares = 0;
  private largest = 0;

  constructor(name: string, rows: number, cols: number) {
    this.name = name;
    this.cols = cols;
    this.stride = Math.max(1, Math.ceil((rows * cols) / SAMPLE_LIMIT));
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

  /** @throws RankscopeError 'not-finite' that names the first such entry's row and column. */
  add(entries: Float32Array): void {
    let squares = 0;
    let maximum = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      const size = Math.abs(entry);
      squares += entry * entry;
      if (size > maximum) maximum = size;
    }
    // NaN and infinity both make the f64 sum of squares of f32 numbers non-finite, and nothing else does.
    if (!Number.isFinite(squares)) this.refuse(entries);
    const picked = this.pick(entries, this.sample.subarray(this.sampled));
    for (let i = 0; i < picked.length; i++) picked[i] = Math.abs(picked[i]!);
    this.addSums({ squares, largest: maximum }, entries.length);
  }

  /** The entries that a device will tell the sums of, as they are stored: some are looked at here. */
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

  /** What a device found in the next `count` entries, which were sampled before and are finite. */
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

  /** Those of the next entries that are sampled, in the first places of `goal`. */
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

/** The order of the values changes. */
function medianOf(values: Float32Array): number {
  const middle = values.length >> 1;
  const upper = quickselect(values, middle);
  if (values.length % 2 === 1) return upper;
  // What is left of the middle is no larger than it.
  let lower = 0;
  for (let i = 0; i < middle; i++) lower = Math.max(lower, values[i]!);
  return (lower + upper) / 2;
}

/** The value that would be at `index` were the values sorted; their order changes (Hoare 1961). */
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
