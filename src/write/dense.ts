import { throwIfCancelled } from '../base/errors.ts';
import { elementCount } from '../base/shape.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import type { StoredMatrix } from '../model/storedMatrix.ts';
import { asHeld, PIECE_ELEMENTS } from './carried.ts';
import { encode, FACTOR_BYTES, type FactorType, factorType, rounded } from './encode.ts';
import type { FoundFactors } from './factorTensors.ts';
import type { Chosen } from './metadata.ts';
import type { TensorToWrite } from './safetensorsWriter.ts';

/** W' = B A (rows x cols, row-major, as the matrix is stored) of factors in [out, in] terms. */
export type DenseFactors = (matrix: StoredMatrix, factors: FoundFactors, signal?: AbortSignal) => Promise<Float32Array>;

interface Truncation {
  readonly dtype: FactorType | null;
  readonly denseOf: DenseFactors;
  readonly factorsOf: (cut: Chosen) => Promise<FoundFactors>;
  readonly measured: (name: string, error: number) => void;
}

/** A tensor with W' in the place of each chosen matrix: the whole tensor, or slices of it. */
export function truncatedTensor(tensor: Tensor, cuts: readonly Chosen[], truncation: Truncation): TensorToWrite {
  const { name, shape } = tensor;
  const dtype = truncation.dtype ?? factorType(tensor.dtype);
  const elements = elementCount(shape);
  const ordered = [...cuts].sort((a, b) => a.matrix.offset - b.matrix.offset);
  return asHeld(tensor, {
    name,
    shape,
    dtype,
    bytes: elements * FACTOR_BYTES[dtype],
    async *content(signal) {
      let at = 0;
      for (const cut of ordered) {
        yield* copied(tensor, at, cut.matrix.offset, dtype, signal);
        yield* truncated(cut, dtype, truncation, signal);
        at = cut.matrix.offset + cut.matrix.rows * cut.matrix.cols;
      }
      yield* copied(tensor, at, elements, dtype, signal);
    },
  });
}

async function* copied(tensor: Tensor, from: number, to: number, dtype: FactorType, signal?: AbortSignal) {
  for (let at = from; at < to; at += PIECE_ELEMENTS) {
    const values = new Float32Array(Math.min(PIECE_ELEMENTS, to - at));
    await tensor.read(at, values, signal);
    yield encode(values, dtype);
  }
}

async function* truncated(
  cut: Chosen,
  dtype: FactorType,
  { denseOf, factorsOf, measured }: Truncation,
  signal?: AbortSignal,
) {
  const { matrix } = cut;
  throwIfCancelled(signal, matrix.name);
  const dense = await denseOf(matrix, await factorsOf(cut), signal);
  const original = new Float32Array(Math.min(PIECE_ELEMENTS, dense.length));
  let [lost, whole] = [0, 0];
  for (let at = 0; at < dense.length; at += PIECE_ELEMENTS) {
    throwIfCancelled(signal, matrix.name);
    const values = rounded(dense.subarray(at, at + PIECE_ELEMENTS), dtype);
    const own = original.subarray(0, values.length);
    await matrix.tensor.read(matrix.offset + at, own, signal);
    for (let k = 0; k < values.length; k++) {
      whole += own[k]! ** 2;
      lost += (own[k]! - values[k]!) ** 2;
    }
    yield encode(values, dtype);
  }
  measured(matrix.name, lost === 0 ? 0 : Math.sqrt(lost / whole));
}
