import { elementCount } from '../../base/shape.ts';
import { CHUNK_BYTES } from '../../bytes/limits.ts';
import { descriptionOf, type Tensor } from '../tensor.ts';

/**
 * The tensor whose slices along `axis` are `parts`, all of one shape and type. It reads only the slices that it is
 * asked for.
 */
export function joinedTensor(parts: readonly Tensor[], axis: number): Tensor {
  const [first] = parts as readonly [Tensor, ...Tensor[]];
  const shape = first.shape.map((size, at) => (at === axis ? size * parts.length : size));
  const inner = elementCount(first.shape.slice(axis));
  const tensor: Tensor = {
    ...descriptionOf(first),
    shape,
    bytes: parts.reduce((sum, part) => sum + part.bytes, 0),
    storage: `joined along ${axis} ${parts.map(({ file, storage }) => `${file.size} ${file.mtimeMs} ${storage}`).join(', ')}`,
    read: (start, out, signal) =>
      interleave({ parts, inner, start, out, bytesEach: 4 }, (part, at, into) => part.read(at, into, signal)),
  };
  if (!parts.every((part) => part.readStored)) return tensor;
  const innerBytes = (first.bytes / elementCount(first.shape)) * inner;
  return {
    ...tensor,
    async readStored(start, out, signal) {
      await interleave({ parts, inner: innerBytes, start, out, bytesEach: 1 }, (part, at, into) =>
        part.readStored!(at, into, signal),
      );
      return out;
    },
  };
}

interface Interleaved<Units> {
  readonly parts: readonly Tensor[];
  /** Units of each part in a row of the whole: the row is the parts' rows one after the other. */
  readonly inner: number;
  readonly start: number;
  readonly out: Units;
  readonly bytesEach: number;
}

/** Fills `out` with the units of the whole from `start` on. `read` fills its last argument from one part. */
async function interleave<Units extends Float32Array | Uint8Array>(
  { parts, inner, start, out, bytesEach }: Interleaved<Units>,
  read: (part: Tensor, at: number, into: Units) => Promise<unknown>,
): Promise<void> {
  const row = inner * parts.length;
  const end = start + out.length;
  // Rows are short where the parts are columns: many are read at once, and then put in their places.
  const rowsAtOnce = Math.max(1, Math.floor(CHUNK_BYTES / (bytesEach * inner)));
  for (let at = start; at < end; ) {
    const index = Math.floor(at / row);
    const rows = at % row === 0 ? Math.min(rowsAtOnce, Math.floor((end - at) / row)) : 0;
    if (rows > 1) {
      const block = out.slice(0, rows * inner) as Units;
      for (const [p, part] of parts.entries()) {
        await read(part, index * inner, block);
        for (let r = 0; r < rows; r++)
          out.set(block.subarray(r * inner, (r + 1) * inner), at - start + r * row + p * inner);
      }
      at += rows * row;
    } else {
      const within = at - index * row;
      const p = Math.floor(within / inner);
      const from = within - p * inner;
      const length = Math.min(inner - from, end - at);
      await read(parts[p]!, index * inner + from, out.subarray(at - start, at - start + length) as Units);
      at += length;
    }
  }
}
