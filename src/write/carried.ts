import { RankscopeError } from '../base/errors.ts';
import { elementCount } from '../base/shape.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import { encode, FACTOR_BYTES, type FactorType, factorType, isFactorType } from './encode.ts';
import type { TensorToWrite } from './safetensorsWriter.ts';
import { transposed } from './transposed.ts';

/** Bytes, or elements of a decoded tensor, per piece. */
const PIECE = 4 << 20;
export const PIECE_ELEMENTS = PIECE / 4;

/** What is written of a tensor as it is. */
type StoredValues = Pick<Tensor, 'name' | 'shape' | 'dtype' | 'bytes' | 'turnedWhenDecoded' | 'read' | 'readStored'>;

/** A tensor with its own values: its stored bytes if safetensors can hold them and no other type is wanted. */
export function carriedTensor(tensor: StoredValues, wanted: FactorType | null = null): TensorToWrite {
  return asHeld(tensor, storedOrDecoded(tensor, wanted));
}

/** What is written of a tensor, each of its matrices the way round in which the model's code holds it. */
export function asHeld({ turnedWhenDecoded }: Pick<Tensor, 'turnedWhenDecoded'>, own: TensorToWrite): TensorToWrite {
  return turnedWhenDecoded ? transposed(own) : own;
}

function storedOrDecoded(tensor: StoredValues, wanted: FactorType | null): TensorToWrite {
  const { name, shape, dtype, bytes } = tensor;
  const elements = elementCount(shape);
  if (tensor.readStored && (wanted === null || wanted === dtype || isInteger(dtype)))
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
  // Integers that lie apart in their file.
  const type = isInteger(dtype) ? 'F32' : (wanted ?? factorType(dtype));
  return {
    name,
    shape,
    dtype: type,
    bytes: FACTOR_BYTES[type] * elements,
    async *content(signal) {
      for (let at = 0; at < elements; at += PIECE_ELEMENTS) {
        const values = new Float32Array(Math.min(PIECE_ELEMENTS, elements - at));
        await tensor.read(at, values, signal);
        yield encode(values, type);
      }
    },
  };
}

const isInteger = (dtype: string) => /^(?:[IU]\d+|BOOL)$/.test(dtype);

/**
 * A tensor with other values, in its own type if that is a float of at least 16 bits, else in F32.
 * @throws RankscopeError 'engine' for another number of values
 */
export function changedTensor({ name, shape, dtype }: Tensor, values: Float32Array): TensorToWrite {
  if (values.length !== elementCount(shape))
    throw new RankscopeError('engine', name, `${values.length} values for a tensor of ${elementCount(shape)}`);
  const own = isFactorType(dtype) ? dtype : 'F32';
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
