import { throwIfCancelled } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import type { RowSource } from '../../devices/backend.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { eachSlab, readWhole } from '../../spectrum/eachSlab.ts';

/** Entries that are read at once, some 10 ms of reading and decoding. */
const STEP = 2 ** 20;

/** Rows of a matrix in [out, in] terms, and how they are ordered. */
export interface Selection {
  /** From, and behind the last. */
  readonly rows?: readonly [number, number] | undefined;
  /** The row of the matrix that stands for a row of the selection. */
  readonly rowAt?: ((row: number) => number) | undefined;
}

/**
 * A matrix in [out, in] terms, however it is stored. One that is stored as (in, out), or whose rows are reordered, is
 * held in memory from its first row on, for as long as the source is.
 */
export function orientedRows(matrix: StoredMatrix, { rows, rowAt }: Selection = {}): RowSource {
  const source = matrix.source();
  const [outputs, cols] = matrix.shape;
  const [from, to] = rows ?? [0, outputs];
  const { name } = matrix;
  if (!matrix.transposed && !rowAt)
    return { name, rows: to - from, cols, read: (row, out, signal) => source.read(from + row, out, signal) };
  let whole: Promise<Float32Array> | undefined;
  return {
    name,
    rows: to - from,
    cols,
    async read(row, out, signal) {
      whole ??= loaded(matrix, signal);
      const values = await whole.catch((error: unknown) => {
        whole = undefined;
        throw error;
      });
      for (let k = 0; k < out.length / cols; k++) {
        const at = (from + (rowAt ? rowAt(row + k) : row + k)) * cols;
        out.set(values.subarray(at, at + cols), k * cols);
      }
    },
  };
}

/** A source whose rows are read once and kept, for one that is read in many small blocks. */
export async function heldRows(source: RowSource, signal: AbortSignal | undefined): Promise<RowSource> {
  const { name, rows, cols } = source;
  const values = await readWhole(source, signal);
  const read: RowSource['read'] = async (row, out) => out.set(values.subarray(row * cols, row * cols + out.length));
  return { name, rows, cols, read };
}

async function loaded(matrix: StoredMatrix, signal: AbortSignal | undefined): Promise<Float32Array> {
  const source = matrix.source();
  if (!matrix.transposed) return readWhole(source, signal);
  const { rows, cols } = source;
  const values = new Float32Array(rows * cols);
  await eachSlab(source, signal, (row, slab) => {
    for (let at = 0, i = row; at < slab.length; i++)
      for (let j = 0; j < cols; j++, at++) values[j * rows + i] = slab[at]!;
  });
  return values;
}

/** All entries of a tensor as one row. */
export function vectorRows(tensor: Tensor, shape: readonly number[] = tensor.shape): RowSource {
  const cols = elementCount(shape);
  return { name: tensor.name, rows: cols === 0 ? 0 : 1, cols, read: (_, out, signal) => tensor.read(0, out, signal) };
}

/** other - base, row by row. Both have the same size. */
export function differenceRows(base: RowSource, other: RowSource): RowSource {
  const { name, rows, cols } = base;
  return {
    name,
    rows,
    cols,
    async read(row, out, signal) {
      const values = new Float32Array(out.length);
      await base.read(row, values, signal);
      await other.read(row, out, signal);
      for (let i = 0; i < out.length; i++) out[i]! -= values[i]!;
    },
  };
}

/** The rows and columns of a source that belong to one attention head. */
export function blockRows(
  source: RowSource,
  { axis, from, count }: { readonly axis: 'rows' | 'columns'; readonly from: number; readonly count: number },
): RowSource {
  const { name } = source;
  if (axis === 'rows')
    return { name, rows: count, cols: source.cols, read: (row, out, signal) => source.read(from + row, out, signal) };
  return {
    name,
    rows: source.rows,
    cols: count,
    async read(row, out, signal) {
      const height = out.length / count;
      const step = Math.max(1, Math.floor(STEP / source.cols));
      for (let at = 0; at < height; at += step) {
        throwIfCancelled(signal, name);
        const here = Math.min(step, height - at);
        const piece = new Float32Array(here * source.cols);
        await source.read(row + at, piece, signal);
        for (let i = 0; i < here; i++)
          out.set(piece.subarray(i * source.cols + from, i * source.cols + from + count), (at + i) * count);
      }
    },
  };
}
