import { elementCount } from '../base/shape.ts';
import { type Tensor, valuesIn, valuesOf } from '../checkpoint/tensor.ts';
import { transposeOf } from '../spectrum/transpose.ts';

/** A matrix inside a tensor: entry [i, k] is the element offset + i * rowStep + k * colStep. */
export interface Factor {
  readonly tensor: Tensor;
  readonly rows: number;
  readonly cols: number;
  readonly offset: number;
  readonly rowStep: number;
  readonly colStep: number;
  /** Reads the whole tensor, where several factors are parts of it; `valuesOf` otherwise. */
  readonly whole?: (signal: AbortSignal | undefined) => Promise<Float32Array>;
}

/** All of a tensor, as [first size, all others]. */
export function factorOf(tensor: Tensor): Factor {
  const [rows = 1] = tensor.shape;
  const cols = elementCount(tensor.shape.slice(1));
  return { tensor, rows, cols, offset: 0, rowStep: cols, colStep: 1 };
}

export function transposedFactor(factor: Factor): Factor {
  const { rows, cols, rowStep, colStep } = factor;
  return { ...factor, rows: cols, cols: rows, rowStep: colStep, colStep: rowStep };
}

/** Where the factor lies in its tensor, for the identity of results. */
export function placeOf({ rows, cols, offset, rowStep, colStep }: Factor): readonly number[] {
  return [rows, cols, offset, rowStep, colStep];
}

/** The values of a factor, row-major. */
export async function factorValues(factor: Factor, signal: AbortSignal | undefined): Promise<Float32Array> {
  const { tensor, rows, cols, offset, rowStep, colStep, whole } = factor;
  if (colStep === 1 && rowStep === cols) return valuesIn(tensor, offset, rows * cols, signal);
  if (rowStep === 1 && colStep === rows) return transposeOf(await valuesIn(tensor, offset, rows * cols, signal), rows);
  const all = await (whole ? whole(signal) : valuesOf(tensor, signal));
  const values = new Float32Array(rows * cols);
  for (let i = 0, at = 0; i < rows; i++)
    for (let k = 0; k < cols; k++) values[at++] = all[offset + i * rowStep + k * colStep]!;
  return values;
}

/**
 * Reads a tensor of which many factors are parts. The values are kept for the next of them as long as memory allows:
 * the experts of a layer are analyzed one after the other.
 */
export function sharedValues(tensor: Tensor): (signal: AbortSignal | undefined) => Promise<Float32Array> {
  let last: WeakRef<Float32Array> | undefined;
  return async (signal) => {
    const kept = last?.deref();
    if (kept) return kept;
    const values = await valuesOf(tensor, signal);
    last = new WeakRef(values);
    return values;
  };
}
