import { elementCount } from '../base/shape.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import { encode } from './encode.ts';
import type { TensorToWrite } from './safetensorsWriter.ts';

/** Bytes, or elements of a decoded tensor, per piece. */
const PIECE = 4 << 20;

/** A tensor copied unchanged: its stored bytes if safetensors can hold them, else its values in F32. */
export function carriedTensor(tensor: Tensor): TensorToWrite {
  const { name, shape, dtype, bytes } = tensor;
  const elements = elementCount(shape);
  if (tensor.readStored)
    return {
      name,
      shape,
      dtype,
      bytes,
      async *content(signal) {
        for (let at = 0; at < bytes; at += PIECE)
          yield await tensor.readStored!(at, new Uint8Array(Math.min(PIECE, bytes - at)), signal);
      },
    };
  return {
    name,
    shape,
    dtype: 'F32',
    bytes: 4 * elements,
    async *content(signal) {
      for (let at = 0; at < elements; at += PIECE / 4) {
        const values = new Float32Array(Math.min(PIECE / 4, elements - at));
        await tensor.read(at, values, signal);
        yield encode(values, 'F32');
      }
    },
  };
}
