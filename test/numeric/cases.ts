import { seededRandom } from '../../src/base/random.ts';

/** A matrix with chosen singular values, cast to f32, on which every device is tested. */
export interface Case {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly spectrum: SpectrumName;
}

export type SpectrumName = keyof typeof SPECTRA;

/** Chosen singular values by position i of p, descending. */
export const SPECTRA = {
  flat: () => 1,
  powerLaw: (i: number) => 3 * (i + 1) ** -0.6,
  step: (i: number, p: number) => (i < p / 4 ? 10 : 0.1),
  deficient: (i: number, p: number) => (i < p / 3 ? 2 - i / p : 0),
  clustered: (i: number, p: number) => [5, 1, 0.01][Math.floor((3 * i) / p)]! * (1 + 1e-6 * (1 - i / p)),
  graded: (i: number, p: number) => 10 ** ((-6 * i) / Math.max(1, p - 1)),
  outlier: (i: number) => (i === 0 ? 1e5 : 1 / (1 + i / 50)),
  weight: (i: number, p: number) => (i < p / 20 ? 8 / (1 + i) ** 0.5 : 0.02) + 2 * (1 - i / p) ** 1.5,
  zero: () => 0,
} satisfies Record<string, (i: number, p: number) => number>;

const SMALL_SHAPES = [
  [1, 1],
  [1, 40],
  [40, 1],
  [2, 2],
  [3, 5],
  [17, 16],
  [33, 65],
  [64, 64],
  [61, 24],
] as const;
const LARGE: readonly (readonly [SpectrumName, number, number])[] = [
  ['flat', 200, 200],
  ['powerLaw', 257, 129],
  ['step', 128, 320],
  ['deficient', 300, 200],
  ['clustered', 255, 254],
  ['graded', 200, 300],
  ['outlier', 300, 300],
  ['weight', 512, 512],
  ['graded', 5000, 32],
  ['powerLaw', 48, 3001],
  ['weight', 2000, 700],
  ['graded', 700, 700],
  ['powerLaw', 700, 2000],
];

const named = (spectrum: SpectrumName, rows: number, cols: number): Case => ({
  name: `${spectrum} ${rows} x ${cols}`,
  rows,
  cols,
  spectrum,
});

/** Cases whose truth the test computes with the reference backend. */
export const SMALL_CASES: readonly Case[] = SMALL_SHAPES.flatMap(([rows, cols]) =>
  (Object.keys(SPECTRA) as SpectrumName[]).map((spectrum) => named(spectrum, rows, cols)),
);
/** Cases whose truth by LAPACK in f64 is in `test/fixtures/spectra`. */
export const LARGE_CASES: readonly Case[] = LARGE.map(([spectrum, rows, cols]) => named(spectrum, rows, cols));

const SEED = 20250;

/** U diag(values) V^T in f64 with seeded random orthogonal factors, cast to f32; row-major. */
export function matrixOf({ rows, cols, spectrum }: Case, seed = SEED): Float32Array {
  const p = Math.min(rows, cols);
  return matrixWith(
    Float64Array.from({ length: p }, (_, i) => SPECTRA[spectrum](i, p)),
    rows,
    cols,
    seed,
  );
}

export function matrixWith(values: Float64Array, rows: number, cols: number, seed: number): Float32Array {
  const data = new Float64Array(rows * cols);
  for (const [i, value] of values.entries()) data[i * cols + i] = value;
  const random = seededRandom(seed);
  mix(data, { size: rows, stride: cols, step: 1, length: cols }, random.uniform);
  mix(data, { size: cols, stride: 1, step: cols, length: rows }, random.uniform);
  return Float32Array.from(data);
}

/** `size` vectors of `length` entries: vector i starts at i stride, its entries are `step` apart. */
interface Vectors {
  readonly size: number;
  readonly stride: number;
  readonly step: number;
  readonly length: number;
}

/**
 * Multiplies the vectors, seen as a block column, by a dense random orthogonal matrix: rounds of plane rotations of
 * random pairs by random angles. After 2 log2(size) rounds every vector has mixed with every other; a Haar factor would
 * cost a QR of the matrix.
 */
function mix(data: Float64Array, vectors: Vectors, uniform: () => number): void {
  const { size, stride } = vectors;
  const order = Array.from({ length: size }, (_, i) => i);
  for (let round = 0; round < 2 * Math.ceil(Math.log2(size)); round++) {
    for (let i = size - 1; i > 0; i--) {
      const other = Math.floor(uniform() * (i + 1));
      [order[i], order[other]] = [order[other]!, order[i]!];
    }
    for (let i = 0; i + 1 < size; i += 2) {
      rotate(data, order[i]! * stride, order[i + 1]! * stride, vectors, 2 * Math.PI * uniform());
    }
  }
}

function rotate(data: Float64Array, p: number, q: number, { step, length }: Vectors, angle: number): void {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  for (let k = 0; k < length; k++) {
    const one = data[p + k * step]!;
    const other = data[q + k * step]!;
    data[p + k * step] = c * one - s * other;
    data[q + k * step] = s * one + c * other;
  }
}
