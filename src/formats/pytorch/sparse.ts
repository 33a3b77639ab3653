import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { MAX_DENSE_ELEMENTS } from '../../bytes/limits.ts';
import { rowMajor } from '../../bytes/strides.ts';
import type { StoredTensor } from '../../checkpoint/storedTensor.ts';
import { descriptionOf, type Tensor } from '../../checkpoint/tensor.ts';
import { exactNumbers, isExact } from './exactNumbers.ts';

/** How many values are read at a time. */
const VALUES_AT_ONCE = 1 << 16;

/** The parts of a sparse tensor as torch stores them, all contiguous; indices and pointers are I64 or I32. */
export interface SparseParts {
  readonly layout: 'coo' | 'csr' | 'csc';
  /** COO: the coordinates of the entries, [dimensions, entries]. CSR and CSC: the column (row) of each entry. */
  readonly indices: StoredTensor;
  /** CSR and CSC: the first entry of each row (column), and the number of entries. */
  readonly pointers?: StoredTensor;
  /** [entries, ...block]. */
  readonly values: StoredTensor;
  readonly shape: readonly number[];
}

/** The sparse tensor as a dense one; undefined if its parts do not fit together. */
export function sparseTensor(name: string, parts: SparseParts): Tensor | undefined {
  const { layout, indices, pointers, values, shape } = parts;
  const all = [...(pointers ? [pointers] : []), indices, values];
  const entries = values.shape[0];
  const block = values.shape.slice(1);
  const areIntegers = all.slice(0, -1).every((part) => isExact(part) && part.dtype.startsWith('I'));
  if (entries === undefined || !areIntegers || values.strides) return undefined;
  const fits =
    layout === 'coo'
      ? indices.shape.length === 2 &&
        indices.shape[1] === entries &&
        indices.shape[0]! + block.length === shape.length &&
        block.every((size, i) => size === shape[indices.shape[0]! + i])
      : shape.length === 2 &&
        block.length === 0 &&
        indices.shape.length === 1 &&
        indices.shape[0] === entries &&
        pointers?.shape.length === 1 &&
        pointers.shape[0] === shape[layout === 'csr' ? 0 : 1]! + 1;
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

/**
 * Fills `out` with the elements of the dense tensor from `start` on, row-major. Entries with equal coordinates add up,
 * as in torch.
 */
async function readSparse(
  name: string,
  { layout, indices, pointers, values, shape }: SparseParts,
  start: number,
  out: Float32Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const count = elementCount(shape);
  if (!(count <= MAX_DENSE_ELEMENTS))
    throw new RankscopeError(
      'too-large',
      name,
      `this sparse tensor has ${count} elements in dense form; at most ${MAX_DENSE_ELEMENTS} are read`,
    );
  if (!(start >= 0 && start + out.length <= count))
    throw new RankscopeError('wrong-use', name, `elements ${start} to ${start + out.length} were asked for`);
  const malformed = (found: string) => new RankscopeError('malformed', name, found, 'Copy or download the file again');
  out.fill(0);
  const entries = values.shape[0]!;
  const block = elementCount(values.shape.slice(1));
  const strides = rowMajor(shape);
  const starts = pointers && (await exactNumbers(pointers, 0, pointers.shape[0]!, signal));
  // The row (column) of the current entry.
  let line = 0;
  const perStep = Math.max(1, Math.floor(VALUES_AT_ONCE / Math.max(1, block)));
  for (let at = 0; at < entries; at += perStep) {
    throwIfCancelled(signal, name);
    const length = Math.min(perStep, entries - at);
    const numbers = new Float32Array(length * block);
    await values.read(at * block, numbers, signal);
    const dimensions = layout === 'coo' ? indices.shape[0]! : 1;
    const coordinates: Float64Array[] = [];
    for (let i = 0; i < dimensions; i++)
      coordinates.push(await exactNumbers(indices, i * entries + at, length, signal));
    for (let i = 0; i < length; i++) {
      let place = 0;
      if (starts) {
        while (line + 1 < starts.length && starts[line + 1]! <= at + i) line++;
        const [row, column] = layout === 'csr' ? [line, coordinates[0]![i]!] : [coordinates[0]![i]!, line];
        if (!(row >= 0 && row < shape[0]! && column >= 0 && column < shape[1]!))
          throw malformed(`its entry ${at + i} is outside its shape [${shape.join(', ')}]`);
        place = row * shape[1]! + column;
      } else {
        for (const [dimension, ofEntries] of coordinates.entries()) {
          const index = ofEntries[i]!;
          if (!(index >= 0 && index < shape[dimension]!))
            throw malformed(`its entry ${at + i} is outside its shape [${shape.join(', ')}]`);
          place += index * strides[dimension]!;
        }
      }
      for (let j = 0; j < block; j++) {
        const to = place + j - start;
        if (to >= 0 && to < out.length) out[to] = out[to]! + numbers[i * block + j]!;
      }
    }
  }
}
