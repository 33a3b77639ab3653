import type { Backend, Matrix, RoutineOptions, RowSource } from '../../devices/backend.ts';
import { loadScaled, uploadRows } from '../load.ts';
import { Scope } from '../scope.ts';

/** A matrix on a device, scaled to magnitudes that f32 can square. */
export interface LoadedMatrix {
  readonly name: string;
  readonly matrix: Matrix;
  /** The factor applied to the entries, by which singular values must be divided. */
  readonly scale: number;
  /** Squared Frobenius norm of the scaled entries. */
  readonly energy: number;
  /** Squared norms of the scaled rows and columns. */
  readonly rowSquares: Float64Array;
  readonly columnSquares: Float64Array;
}

/**
 * Runs `use` with the whole of `source` on the device, for algorithms that go over it several times.
 * @throws RankscopeError 'not-finite', 'too-large', 'cancelled', and what the source throws
 */
export function withLoadedMatrix<Result>(
  backend: Backend,
  source: RowSource,
  options: RoutineOptions,
  use: (loaded: LoadedMatrix) => Promise<Result>,
): Promise<Result> {
  const { name, rows: m, cols: n } = source;
  return Scope.run(backend, async (scope) => {
    const matrix = await scope.allocate(m, n);
    const [rowSquares, columnSquares] = [new Float64Array(m), new Float64Array(n)];
    const { result: energy, scale } = await loadScaled(source, options.signal, async (scaled) => {
      columnSquares.fill(0);
      const read = async (row: number, out: Float32Array) => {
        await scaled.read(row, out);
        addSquares(out, row, n, rowSquares, columnSquares);
      };
      // Rows are decoded here and not on the device, because their norms are needed.
      await uploadRows(backend, { ...scaled, read, upload: undefined }, 0, m, matrix, 0, options);
      return scaled.energy();
    });
    return use({ name, matrix, scale, energy, rowSquares, columnSquares });
  });
}

/** Adds the squares of whole rows of entries, from `row` on, to the squared norms. */
function addSquares(
  entries: Float32Array,
  row: number,
  cols: number,
  rowSquares: Float64Array,
  columnSquares: Float64Array,
): void {
  for (let start = 0; start < entries.length; start += cols) {
    let sum = 0;
    for (let j = 0; j < cols; j++) {
      const square = entries[start + j]! ** 2;
      sum += square;
      columnSquares[j]! += square;
    }
    rowSquares[row + start / cols] = sum;
  }
}
