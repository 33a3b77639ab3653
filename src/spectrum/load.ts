import { throwIfCancelled } from '../base/errors.ts';
import type { Backend, Matrix, RoutineOptions, RowSource, StoredRows } from '../devices/backend.ts';
import { EntryScan, type EntryStatistics } from './entries.ts';

/** Entries uploaded at a time: some 10 ms of reading and decoding, so that a cancellation is seen in time. Devices decode faster. */
const [PIECE, STORED_PIECE] = [2 ** 20, 2 ** 22];
/**
 * The largest magnitude may lie in this range as it is. Below 2^40 the squares of a whole matrix still sum up in f32, above 2^-30 the square
 * of a value 2^-24 below the largest is still a normal f32 number. Outside, the matrix is scaled by a power of two, which changes no digit.
 */
const [SMALLEST, LARGEST] = [2 ** -30, 2 ** 40];

/** Thrown inside a pass whose scale turned out wrong; never leaves this file. */
class Rescale {
  constructor(readonly maximum: number) {}
}

/** The rows of a source, checked, counted and scaled to a magnitude that f32 arithmetic can square. */
export interface ScaledRows {
  readonly rows: number;
  readonly cols: number;
  read(row: number, out: Float32Array): Promise<void>;
  /**
   * The same rows, `count` from `row` on, decoded by `backend` into `matrix` from row `to` on; undefined where they are to be scaled, or where
   * only the source knows their values.
   */
  readonly upload:
    | ((backend: Backend, row: number, count: number, matrix: Matrix, to: number) => Promise<void>)
    | undefined;
  /** The summed squares of the scaled entries read so far. */
  energy(): number;
}

export interface Loaded<Result> {
  readonly result: Result;
  readonly entries: EntryStatistics;
  /** What the entries were multiplied by: divide singular values by it. */
  readonly scale: number;
}

/**
 * Runs `pass` over the source's rows, which it must read in order, from the first to the last, before it computes; it may read them again
 * afterwards. `pass` is run once more from the start where the magnitudes need another scale than 1.
 * @throws RankscopeError 'not-finite', 'cancelled', and whatever the source and `pass` throw.
 */
export async function loadScaled<Result>(
  source: RowSource,
  signal: AbortSignal | undefined,
  pass: (rows: ScaledRows) => Promise<Result>,
): Promise<Loaded<Result>> {
  let scale = 1;
  for (;;) {
    const scan = new EntryScan(source.name, source.rows, source.cols);
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
  // Rows that are read again, with another height of the pieces perhaps, are counted once.
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
      // A device tells the sums of all that it decodes: of rows that are partly counted already, they are not to be had.
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
  /** Names the first entry that is not finite. */
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

/** Uploads `count` rows from `from` on into `matrix` from row `to` on, piece by piece. */
export async function uploadRows(
  backend: Backend,
  rows: ScaledRows,
  from: number,
  count: number,
  matrix: Matrix,
  to: number,
  { progress }: RoutineOptions = {},
): Promise<void> {
  const step = Math.max(1, Math.floor((rows.upload ? STORED_PIECE : PIECE) / rows.cols));
  for (let done = 0; done < count; done += step) {
    const height = Math.min(step, count - done);
    if (rows.upload) await rows.upload(backend, from + done, height, matrix, to + done);
    else await backend.upload(matrix, to + done, height, (out) => rows.read(from + done, out));
    progress?.((done + height) / count);
  }
}

/** The part [from, to] of a progress report. */
export function subProgress(options: RoutineOptions, from: number, to: number): RoutineOptions {
  const { signal, progress } = options;
  return { signal, progress: progress && ((share) => progress(from + share * (to - from))) };
}
