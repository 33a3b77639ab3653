import type { TensorToWrite } from './safetensorsWriter.ts';

/**
 * A matrix, or each matrix of a stack, with its axes exchanged. One is in memory while it is written, as a factor or
 * an expert may be.
 */
export function transposed(tensor: TensorToWrite): TensorToWrite {
  const [rows = 0, cols = 0] = tensor.shape.slice(-2);
  const stacked = tensor.shape.slice(0, -2);
  const size = tensor.bytes / stacked.reduce((product, count) => product * count, 1);
  return {
    ...tensor,
    shape: [...stacked, cols, rows],
    async *content(signal) {
      const whole = new Uint8Array(size);
      let at = 0;
      for await (let piece of tensor.content(signal))
        while (piece.length > 0) {
          const part = piece.subarray(0, size - at);
          whole.set(part, at);
          at += part.length;
          piece = piece.subarray(part.length);
          if (at < size) continue;
          yield turned(whole, rows, cols);
          at = 0;
        }
    },
  };
}

/** The bytes of the transpose of a matrix of `rows` x `cols`. */
function turned(bytes: Uint8Array, rows: number, cols: number): Uint8Array {
  const width = bytes.length / (rows * cols);
  const out = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++)
    for (let col = 0; col < cols; col++) {
      const [from, to] = [(row * cols + col) * width, (col * rows + row) * width];
      for (let byte = 0; byte < width; byte++) out[to + byte] = bytes[from + byte]!;
    }
  return out;
}
