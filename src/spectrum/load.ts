import { throwIfCancelled } from '../base/errors.ts';
import type { Backend, Matrix, RoutineOptions, RowSource, StoredRows } from '../devices/backend.ts';
import { EntryScan, type EntryStatistics } from './entries.ts';

/**
 * Entries per upload, decoded here or by the device: some 10 ms of reading and decoding, so that cancelling is quick.
 */
const [DECODED_STEP, STORED_STEP] = [2 ** 20, 2 ** 22];
/**
 * A matrix whose largest magnitude is in this range is not scaled. Below 2^40, the squares of a whole matrix can be
 * summed in f32; above 2^-30, the square of a value 2^-24 of the largest is a normal f32 number. Any other matrix is
 * scaled by a power of two, which is exact.
 */
const [SMALLEST, LARGEST] = [2 ** -30, 2 ** 40];

/** Thrown within a pass that needs another scale; never leaves this file. */
class Rescale {
  constructor(readonly maximum: number) {}
}

/** The rows of a source, checked, scanned and scaled to magnitudes that f32 can square. */
export interface ScaledRows {
  readonly rows: number;
  readonly cols: number;
  read(row: number, out: Float32Array): Promise<void>;
  /**
   * Has `backend` decode `count` rows from `row` on into `matrix` from row `to` on; undefined if the rows must be
   * scaled, or if only the source can compute their values.
   */
  readonly upload:
    | ((backend: Backend, row: number, count: number, matrix: Matrix, to: number) => Promise<void>)
    | undefined;
  /** Sum of squares of the scaled entries read so far. */
  energy(): number;
}

export interface Loaded<Result> {
  readonly result: Result;
  readonly entries: EntryStatistics;
  /** The factor applied to the entries, by which singular values must be divided. */
  readonly scale: number;
}

/**
 * Runs `pass`, which must read all rows of the source in order before it computes, and may then read them again. If the
 * magnitudes need scaling, `pass` is run again from the start. At most `samples` entries are sampled for the noise
 * deviation.
 * @throws RankscopeError 'not-finite', 'cancelled', and whatever the source and `pass` throw
 */
export async function loadScaled<Result>(
  source: RowSource,
  signal: AbortSignal | undefined,
  pass: (rows: ScaledRows) => Promise<Result>,
  samples?: number,
): Promise<Loaded<Result>> {
  let scale = 1;
  for (;;) {
    const scan = new EntryScan(source.name, source.rows, source.cols, samples);
    try {
      const result = await pass(scaledRows(source, scan, scale, signal));
      return { result, entries: scan.result(), scale };
    } catch (thrown) {
      if (!(thrown instanceof Rescale)) throw thrown;
      scale = 2 ** -Math.floor(Math.log2(thrown.maximum));
    }
  }
}

function scaledRows(source: RowSource, scan: EntryScan, scale: number, signal: AbortSignal | undefined): ScaledRows {
  const { rows, cols, name, stored } = source;
  let scanned = 0;
  const advance = (end: number) => {
    scanned = end;
    const maximum = scan.maximum * scale;
    if (maximum > LARGEST || (scanned === rows && maximum > 0 && maximum < SMALLEST)) throw new Rescale(scan.maximum);
  };
  // Rows that are read again, perhaps in other steps, are scanned once.
  const read = async (row: number, out: Float32Array) => {
    throwIfCancelled(signal, name);
    await source.read(row, out, signal);
    const end = row + out.length / cols;
    if (row <= scanned && scanned < end) {
      scan.add(out.subarray((scanned - row) * cols));
      advance(end);
    }
    if (scale !== 1) for (let i = 0; i < out.length; i++) out[i]! *= scale;
  };
  const upload =
    ({ encoding, read: readStored }: StoredRows): NonNullable<ScaledRows['upload']> =>
    async (backend, row, count, matrix, to) => {
      throwIfCancelled(signal, name);
      const [fresh, end] = [row === scanned, row + count];
      // A device returns the sums of all rows that it decodes, which is too much if some have been scanned before.
      if (row < scanned && scanned < end) return backend.upload(matrix, to, count, (out) => read(row, out));
      const sums = await backend.uploadStored(matrix, to, count, encoding, async (bytes) => {
        await readStored(row, bytes, signal);
        if (fresh) scan.sampleStored(encoding, bytes);
      });
      if (!fresh) return;
      if (Number.isNaN(sums.largest)) return refuse(row, count);
      scan.addSums(sums, count * cols);
      advance(end);
    };
  /** Throws the error that names the first non-finite entry. */
  const refuse = async (row: number, count: number) => {
    const entries = new Float32Array(count * cols);
    await source.read(row, entries, signal);
    scan.add(entries);
  };
  return {
    rows,
    cols,
    energy: () => scan.squares * scale ** 2,
    read,
    upload: stored && scale === 1 ? upload(stored) : undefined,
  };
}

/** Uploads `count` rows from `from` on into `matrix` from row `to` on, step by step. */
export async function uploadRows(
  backend: Backend,
  rows: ScaledRows,
  from: number,
  count: number,
  matrix: Matrix,
  to: number,
  { progress }: RoutineOptions = {},
): Promise<void> {
  const step = Math.max(1, Math.floor((rows.upload ? STORED_STEP : DECODED_STEP) / rows.cols));
  for (let done = 0; done < count; done += step) {
    const height = Math.min(step, count - done);
    if (rows.upload) await rows.upload(backend, from + done, height, matrix, to + done);
    else await backend.upload(matrix, to + done, height, (out) => rows.read(from + done, out));
    progress?.((done + height) / count);
  }
}

/** Options whose progress fills the part [from, to] of the whole. */
export function subProgress(options: RoutineOptions, from: number, to: number): RoutineOptions {
  const { signal, progress } = options;
  return { signal, progress: progress && ((share) => progress(from + share * (to - from))) };
}
