import { RankscopeError } from '../base/errors.ts';
import { firstTriplets, type SingularTriplets } from '../base/singularTriplets.ts';
import { factorModule } from '../model/names/moduleOfWeight.ts';
import type { StoredMatrix } from '../model/storedMatrix.ts';
import { encode, FACTOR_BYTES, type FactorType, factorType, rounded, roundInPlace } from './encode.ts';
import type { WrittenFactors } from './residual.ts';
import type { TensorToWrite } from './safetensorsWriter.ts';

/** What stands in place of a matrix: its leading triplets, or two factors that something else found. */
export type FoundFactors = SingularTriplets | WrittenFactors;

/** A factor tensor to write, with its values as a function of what was found. */
interface Part {
  readonly suffix: string;
  readonly shape: readonly number[];
  values(found: FoundFactors): ArrayLike<number>;
}

/**
 * The tensors that replace `matrix`: two factors with sqrt(sigma) in each, so that neither exceeds the range of its
 * type sooner than the other, or three: U, S and V. Factors that are not triplets are written as they are, as two.
 * `load` is called once, when the first one is written; `written` receives the rounded factors.
 */
export function factorTensors(
  matrix: StoredMatrix,
  rank: number,
  { factors, dtype: wanted }: { readonly factors: 2 | 3; readonly dtype: FactorType | null },
  load: () => Promise<FoundFactors>,
  written: (factors: WrittenFactors) => Promise<void>,
): TensorToWrite[] {
  const dtype = wanted ?? factorType(matrix.tensor.dtype);
  const parts = (factors === 2 ? twoFactors : threeFactors)(matrix.shape, rank);
  let loaded: Promise<FoundFactors> | undefined;
  return parts.map(({ suffix, shape, values }, k) => ({
    name: `${factorModule(matrix.name)}.${suffix}`,
    dtype,
    shape,
    bytes: shape.reduce((product, size) => product * size, FACTOR_BYTES[dtype]),
    async *content() {
      loaded ??= load().then((found) => checked(found, matrix, rank));
      const found = await loaded;
      yield encode(values(found), dtype);
      if (k < parts.length - 1) return;
      loaded = undefined;
      await written(roundedFactors(found, parts, rank, matrix.shape, dtype));
    },
  }));
}

/** The factors of the first `rank` triplets as they would be in the file, with the roundings of its types. */
export function writtenFactors(
  matrix: StoredMatrix,
  triplets: SingularTriplets,
  rank: number,
  factors: 2 | 3,
): WrittenFactors {
  const dtype = factorType(matrix.tensor.dtype);
  checked(triplets, matrix, triplets.values.length);
  if (factors === 3) {
    const parts = threeFactors(matrix.shape, rank);
    return roundedFactors(firstTriplets(triplets, rank), parts, rank, matrix.shape, dtype);
  }
  const [m, n] = matrix.shape;
  return {
    rank,
    a: roundInPlace(factorA(triplets, n, rank), dtype),
    b: roundInPlace(factorB(triplets, m, rank), dtype),
  };
}

function twoFactors([m, n]: readonly [number, number], rank: number): Part[] {
  return [
    {
      suffix: 'lowrank_a.weight',
      shape: [rank, n],
      values: (found) => ('a' in found ? found.a : factorA(found, n, rank)),
    },
    {
      suffix: 'lowrank_b.weight',
      shape: [m, rank],
      values: (found) => ('b' in found ? found.b : factorB(found, m, rank)),
    },
  ];
}

/** sqrt(S) V^T of the first `rank` triplets, r x n. */
function factorA({ right, values }: SingularTriplets, n: number, rank: number): Float32Array {
  return transposedAndScaled(right, n, rank, values.map(Math.sqrt));
}

/** U sqrt(S) of the first `rank` triplets, m x r. */
function factorB({ left, values }: SingularTriplets, m: number, rank: number): Float32Array {
  const count = values.length;
  const scale = values.map(Math.sqrt);
  const out = new Float32Array(m * rank);
  for (let i = 0; i < m; i++) for (let k = 0; k < rank; k++) out[i * rank + k] = left[i * count + k]! * scale[k]!;
  return out;
}

function threeFactors([m, n]: readonly [number, number], rank: number): Part[] {
  return [
    { suffix: 'svd_u', shape: [m, rank], values: (found) => tripletsOf(found).left },
    { suffix: 'svd_s', shape: [rank], values: (found) => tripletsOf(found).values },
    {
      suffix: 'svd_v',
      shape: [rank, n],
      values: (found) => transposedAndScaled(tripletsOf(found).right, n, rank, new Float64Array(rank).fill(1)),
    },
  ];
}

function tripletsOf(found: FoundFactors): SingularTriplets {
  if ('left' in found) return found;
  throw new RankscopeError('wrong-use', 'factors', 'two factors were found, and three are to be written', 'Write two');
}

function roundedFactors(
  found: FoundFactors,
  parts: readonly Part[],
  rank: number,
  [m]: readonly [number, number],
  dtype: FactorType,
): WrittenFactors {
  const values = parts.map((part) => rounded(part.values(found), dtype));
  if (values.length === 2) return { rank, a: values[0]!, b: values[1]! };
  const [left, scale, right] = values as [Float32Array, Float32Array, Float32Array];
  const b = new Float32Array(m * rank).map((_, at) => left[at]! * scale[at % rank]!);
  return { rank, a: right, b };
}

/** r x n from the first r columns of as many as there are scales, row k times scale[k]. */
function transposedAndScaled(right: Float32Array, n: number, rank: number, scale: Float64Array): Float32Array {
  const count = scale.length;
  const out = new Float32Array(rank * n);
  for (let j = 0; j < n; j++) for (let k = 0; k < rank; k++) out[k * n + j] = right[j * count + k]! * scale[k]!;
  return out;
}

function checked<Found extends FoundFactors>(found: Found, { name, shape: [m, n] }: StoredMatrix, rank: number): Found {
  const parts: readonly [values: ArrayLike<number>, length: number][] =
    'left' in found
      ? [
          [found.left, m * rank],
          [found.values, rank],
          [found.right, n * rank],
        ]
      : [
          [found.b, m * rank],
          [found.a, rank * n],
        ];
  if (parts.some(([{ length }, expected]) => length !== expected)) {
    const sizes = parts
      .map(([{ length }]) => length)
      .join(', ')
      .replace(/, (\d+)$/, ' and $1');
    throw new RankscopeError('engine', name, `factors have the wrong sizes: ${sizes} values`);
  }
  if (!parts.every(([values]) => allFinite(values)))
    throw new RankscopeError('not-finite', name, 'its factors contain NaN or infinity', 'Exclude it from the plan');
  return found;
}

function allFinite(values: ArrayLike<number>): boolean {
  for (let at = 0; at < values.length; at++) if (!Number.isFinite(values[at])) return false;
  return true;
}
