import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { MAX_DENSE_ELEMENTS } from '../../bytes/limits.ts';
import { rowMajor } from '../../bytes/strides.ts';
import type { StoredTensor } from '../../checkpoint/storedTensor.ts';
import { descriptionOf, type Tensor } from '../../checkpoint/tensor.ts';
import { exactNumbers, isExact } from './exactNumbers.ts';

/** Entries looked at at once. */
const ENTRIES = 1 << 16;

/** Where the entries of a sparse matrix are, as torch keeps them; all parts plain and row-major, indices I64 or I32. */
export interface SparseParts {
  readonly layout: 'coo' | 'csr' | 'csc';
  /** COO: [dimensions, entries]. CSR and CSC: where each row (column) begins among the entries. */
  readonly places: StoredTensor;
  /** CSR and CSC: the column (row) of each entry. */
  readonly others?: StoredTensor;
  /** [entries, ...block]. */
  readonly values: StoredTensor;
  readonly shape: readonly number[];
}

/** Undefined where the parts do not belong together in a way that is read here. */
export function sparseTensor(name: string, parts: SparseParts): Tensor | undefined {
  const { layout, places, others, values, shape } = parts;
  const all = [places, ...(others ? [others] : []), values];
  const entries = values.shape[0];
  const block = values.shape.slice(1);
  const whole = all.slice(0, -1).every((part) => isExact(part) && part.dtype.startsWith('I'));
  if (entries === undefined || !whole || values.strides) return undefined;
  const fits =
    layout === 'coo'
      ? places.shape.length === 2 &&
        places.shape[1] === entries &&
        places.shape[0]! + block.length === shape.length &&
        block.every((size, i) => size === shape[places.shape[0]! + i])
      : shape.length === 2 &&
        block.length === 0 &&
        others?.shape[0] === entries &&
        others.shape.length === 1 &&
        places.shape.length === 1 &&
        places.shape[0] === shape[layout === 'csr' ? 0 : 1]! + 1;
  if (!fits) return undefined;
  return {
    ...descriptionOf(values),
    name,
    shape,
    bytes: all.reduce((sum, part) => sum + part.bytes, 0),
    dtype: `${values.dtype} (sparse)`,
    storage: `sparse ${all.map(({ storage }) => storage).join(' + ')}`,
    read: (start, out, signal) => readSparse(name, parts, start, out, signal),
  };
}

/** Puts the entries that lie in [start, start + out.length) of the dense tensor, counted row-major, into `out`; equal places add up. */
async function readSparse(
  name: string,
  { layout, places, others, values, shape }: SparseParts,
  start: number,
  out: Float32Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const count = elementCount(shape);
  if (!(count <= MAX_DENSE_ELEMENTS))
    throw new RankscopeError(
      'too-large',
      name,
      `this sparse tensor has ${count} elements as a dense one; at most ${MAX_DENSE_ELEMENTS} are read`,
    );
  if (!(start >= 0 && start + out.length <= count))
    throw new RankscopeError('wrong-use', name, `elements ${start} to ${start + out.length} were asked for`);
  const malformed = (found: string) => new RankscopeError('malformed', name, found, 'Copy or download the file again');
  out.fill(0);
  const entries = values.shape[0]!;
  const block = elementCount(values.shape.slice(1));
  const steps = rowMajor(shape);
  const begins = layout === 'coo' ? undefined : await exactNumbers(places, 0, places.shape[0]!, signal);
  // The row (column) that the entry at hand is in.
  let line = 0;
  const perStep = Math.max(1, Math.floor(ENTRIES / Math.max(1, block)));
  for (let at = 0; at < entries; at += perStep) {
    throwIfCancelled(signal, name);
    const length = Math.min(perStep, entries - at);
    const numbers = new Float32Array(length * block);
    await values.read(at * block, numbers, signal);
    const rows = layout === 'coo' ? places.shape[0]! : 1;
    const indices: Float64Array[] = [];
    for (let row = 0; row < rows; row++)
      indices.push(await exactNumbers(others ?? places, others ? at : row * entries + at, length, signal));
    for (let i = 0; i < length; i++) {
      let place = 0;
      if (begins) {
        while (line + 1 < begins.length && begins[line + 1]! <= at + i) line++;
        const [row, column] = layout === 'csr' ? [line, indices[0]![i]!] : [indices[0]![i]!, line];
        if (!(row >= 0 && row < shape[0]! && column >= 0 && column < shape[1]!))
          throw malformed(`its entry ${at + i} is outside of its shape [${shape.join(', ')}]`);
        place = row * shape[1]! + column;
      } else {
        for (const [dimension, each] of indices.entries()) {
          const index = each[i]!;
          if (!(index >= 0 && index < shape[dimension]!))
            throw malformed(`its entry ${at + i} is outside of its shape [${shape.join(', ')}]`);
          place += index * steps[dimension]!;
        }
      }
      for (let j = 0; j < block; j++) {
        const to = place + j - start;
        if (to >= 0 && to < out.length) out[to] = out[to]! + numbers[i * block + j]!;
      }
    }
  }
}
