import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { CHUNK_BYTES } from '../../bytes/limits.ts';
import { spreadRanges } from '../../bytes/source/spreadRanges.ts';
import { type Tensor, valuesIn } from '../tensor.ts';
import type { Packed } from './packed.ts';

/**
 * The tensor of the matrix that `packed` describes, decoded when it is read. It counts as stored where its `codes` are.
 */
export function packedTensor(codes: Tensor, packed: Packed): Tensor {
  const { name, shape, dtype, parts, steps, transposed = codes.transposed, turnedWhenDecoded } = packed;
  return {
    name,
    shape,
    dtype,
    bytes: parts.reduce((sum, part) => sum + part.bytes, 0),
    file: codes.file,
    // Equal codes with other scales are another matrix.
    storage: `packed ${[codes, ...parts.filter((part) => part !== codes)].map(({ storage }) => storage).join(' ')}`,
    ...(transposed === undefined ? {} : { transposed }),
    ...(turnedWhenDecoded && { turnedWhenDecoded }),
    read: (start, out, signal) => readPacked(packed, start, out, signal),
    ...(steps && { deviation: (start, length, signal) => stepDeviation(steps, shape, start, length, signal) }),
  };
}

/** Decodes whole rows directly into `out`, in chunks. A row that is only partly requested is decoded separately. */
async function readPacked(
  packed: Packed,
  start: number,
  out: Float32Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { name, shape } = packed;
  const count = elementCount(shape);
  const end = start + out.length;
  if (!(start >= 0 && end <= count))
    throw new RankscopeError('wrong-use', name, `elements ${start} to ${end} were asked for`);
  const cols = shape.at(-1)!;
  const rowsAtOnce = packed.singlePass ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(CHUNK_BYTES / (4 * cols)));
  for (let at = start; at < end; ) {
    throwIfCancelled(signal, name);
    const row = Math.floor(at / cols);
    const wholeRows = at % cols === 0 ? Math.min(rowsAtOnce, Math.floor((end - at) / cols)) : 0;
    if (wholeRows > 0) {
      await packed.decodeRows(row, out.subarray(at - start, at - start + wholeRows * cols), signal);
      at += wholeRows * cols;
    } else {
      const line = new Float32Array(cols);
      await packed.decodeRows(row, line, signal);
      const stop = Math.min(end, (row + 1) * cols);
      out.set(line.subarray(at - row * cols, stop - row * cols), at - start);
      at = stop;
    }
  }
}

/**
 * The standard deviation of the rounding error of `length` values from `start` on: the root of the mean of d^2 / 12
 * over a sample of the step sizes d (Bennett 1948; see gguf/rounding.ts). GPTQ compensates for the rounding of earlier
 * columns in later ones, so its true deviation is somewhat larger.
 */
async function stepDeviation(
  steps: Tensor,
  shape: readonly number[],
  start: number,
  length: number,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const [from, to] = stepRange(steps, shape, start, length);
  let squares = 0;
  let count = 0;
  for (const [offset, sampled] of spreadRanges(to - from)) {
    for (const step of await valuesIn(steps, from + offset, sampled, signal)) squares += step * step;
    count += sampled;
  }
  return count > 0 ? Math.sqrt(squares / count / 12) : undefined;
}

/** The range of steps that cover the values. */
function stepRange(steps: Tensor, shape: readonly number[], start: number, length: number): [number, number] {
  const share = elementCount(steps.shape) / elementCount(shape);
  return [Math.floor(start * share), Math.ceil((start + length) * share)];
}
