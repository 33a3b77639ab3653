import { RankscopeError } from '../base/errors.ts';
import { moduleOfWeight } from '../model/names/moduleOfWeight.ts';
import type { StoredMatrix } from '../model/storedMatrix.ts';
import type { SharedFactors } from '../spectrum/sharedFactors.ts';
import { encode, FACTOR_BYTES, type FactorType, factorType, rounded } from './encode.ts';
import { type SharedGroup, sharedFactorName } from './metadata.ts';
import type { WrittenFactors } from './residual.ts';
import type { TensorToWrite } from './safetensorsWriter.ts';

/** What is done with the tensors of a group. */
interface SharedHooks {
  /** Finds the factors; called once, when the first of them is written. */
  readonly load: () => Promise<SharedFactors>;
  /** Receives the rounded factors of each matrix. */
  readonly written: (matrix: StoredMatrix, factors: WrittenFactors) => Promise<void>;
}

/**
 * The tensors that replace each matrix of a group, by its name: the shared factor A stands with the B of the first
 * matrix, which must be written first. The factors are in memory until the last one is written.
 */
export function sharedTensors(
  group: SharedGroup,
  rank: number,
  { load, written }: SharedHooks,
  wanted: FactorType | null,
): Map<string, TensorToWrite[]> {
  const { matrices } = group;
  const first = matrices[0]!;
  const dtype = wanted ?? factorType(first.dtype);
  const [, n] = first.shape;
  let loaded: Promise<WrittenFactors[]> | undefined;
  const factorsOf = () => {
    loaded ??= load().then((found) => writtenShared(group, rank, found, dtype));
    return loaded;
  };
  const tensor = (own: string, shape: readonly number[], content: () => AsyncIterable<Uint8Array>): TensorToWrite => ({
    name: own,
    dtype,
    shape,
    bytes: shape.reduce((product, size) => product * size, FACTOR_BYTES[dtype]),
    content,
  });
  return new Map(
    matrices.map((matrix, k) => {
      const b = tensor(`${moduleOfWeight(matrix.name)}.lowrank_b.weight`, [matrix.shape[0], rank], async function* () {
        const own = (await factorsOf())[k]!;
        yield encode(own.b, dtype);
        await written(matrix, own);
        if (k === matrices.length - 1) loaded = undefined;
      });
      if (k > 0) return [matrix.name, [b]];
      const a = tensor(sharedFactorName(matrix), [rank, n], async function* () {
        yield encode((await factorsOf())[0]!.a, dtype);
      });
      return [matrix.name, [a, b]];
    }),
  );
}

/** The factors of each matrix as they would be in the file, with the roundings of its type. */
export function writtenShared(
  { name, matrices }: SharedGroup,
  rank: number,
  { a, b }: SharedFactors,
  dtype: FactorType = factorType(matrices[0]!.dtype),
): WrittenFactors[] {
  const shared = rounded(finite(a, name), dtype);
  return b.map((own) => ({ rank, a: shared, b: rounded(finite(own, name), dtype) }));
}

function finite(values: Float32Array, name: string): Float32Array {
  if (values.every(Number.isFinite)) return values;
  throw new RankscopeError('not-finite', name, 'its factors contain NaN or infinity', 'Exclude it from the plan');
}
