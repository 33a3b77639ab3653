import { RankscopeError } from '../base/errors.ts';
import { elementCount } from '../base/shape.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import { encode, FACTOR_BYTES, type FactorType } from './encode.ts';
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

/**
 * A tensor with other values, in its own type if that is a float of at least 16 bits, else in F32.
 * @throws RankscopeError 'engine' for another number of values
 */
export function changedTensor({ name, shape, dtype }: Tensor, values: Float32Array): TensorToWrite {
  if (values.length !== elementCount(shape))
    throw new RankscopeError('engine', name, `${values.length} values for a tensor of ${elementCount(shape)}`);
  const own = Object.hasOwn(FACTOR_BYTES, dtype) ? (dtype as FactorType) : 'F32';
  return {
    name,
    shape,
    dtype: own,
    bytes: values.length * FACTOR_BYTES[own],
    async *content() {
      yield encode(values, own);
    },
  };
}
