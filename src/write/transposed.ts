import type { TensorToWrite } from './safetensorsWriter.ts';

/** A 2-D tensor with its axes exchanged. It is in memory while it is written, as a factor or one expert may be. */
export function transposed(tensor: TensorToWrite): TensorToWrite {
  const [rows = 0, cols = 0] = tensor.shape;
  const width = tensor.bytes / Math.max(1, rows * cols);
  return {
    ...tensor,
    shape: [cols, rows],
    async *content(signal) {
      const whole = new Uint8Array(tensor.bytes);
      let at = 0;
      for await (const piece of tensor.content(signal)) {
        whole.set(piece, at);
        at += piece.length;
      }
      const turned = new Uint8Array(tensor.bytes);
      for (let row = 0; row < rows; row++)
        for (let col = 0; col < cols; col++) {
          const [from, to] = [(row * cols + col) * width, (col * rows + row) * width];
          for (let byte = 0; byte < width; byte++) turned[to + byte] = whole[from + byte]!;
        }
      yield turned;
    },
  };
}
