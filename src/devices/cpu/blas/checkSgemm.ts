// Some builds of OpenBLAS compute wrong products on some processors, only for some shapes. So many small products are
// checked. Comparing C x with op(A) (op(B) x) costs O(mk + kn + mn) instead of O(mnk) and, for a random x, misses a
// wrong element with probability zero (Freivalds, "Probabilistic machines can use less running time", IFIP 1977).
import { seededRandom } from '../../../base/random.ts';
import type { Sgemm } from './sgemm.ts';

/** Sides at and around the widths of registers, blocks and panels. */
const SIDES = [1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 64, 65, 96, 100, 128, 129, 192, 257];
const DEPTHS = [257, 1, 64, 7, 33, 2, 128, 16, 96, 5, 300, 31, 8, 200];
const THIN = [1, 8, 16, 32, 48, 96];
const PADDING = [0, 1, 5, 16];
const SCALES = [1, -0.75, 0.5];
/** The first reads what C held before, the second must not: C then holds NaN. */
const KEPT = [0, 1, 0, -0.5];

interface Shape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

const CASES = [0, 1, 2, 3].map((bits) => ({ transposeA: (bits & 1) !== 0, transposeB: (bits & 2) !== 0 }));

/** Each pair of sides once, then what occurs most. */
function* shapes(pick: <Choice>(choices: readonly Choice[]) => Choice): Generator<Shape> {
  for (const m of SIDES) for (const n of SIDES) yield { m, n, k: pick(DEPTHS), ...pick(CASES) };
  for (const transposition of CASES) {
    for (const n of THIN) {
      yield { m: 300, n, k: 257, ...transposition };
      yield { m: n, n: 300, k: 100, ...transposition };
      yield { m: 24, n, k: 2048, ...transposition };
    }
    // Larger than the blocks that a product is split into.
    yield { m: 400, n: 520, k: 600, ...transposition };
  }
}

/** Floats for each operand, and for C. */
const OPERAND = 2 ** 19;
const [LONGEST, GUARD] = [2048, 7777.5];

/** Bytes of memory that the check takes. */
export const CHECK_BYTES = 3 * OPERAND * 4;

/**
 * Compares products of many shapes, all transpositions, leading dimensions larger than the rows, and scales, with f64.
 * @param at address of CHECK_BYTES of memory
 * @returns which product was wrong, or undefined
 */
export function wrongProduct(sgemm: Sgemm, memory: WebAssembly.Memory, at: number): string | undefined {
  const { uniform } = seededRandom(11);
  const floats = (index: number) => new Float32Array(memory.buffer, at + 4 * index * OPERAND, OPERAND);
  const [a, b, c] = [floats(0), floats(1), floats(2)];
  for (const operand of [a, b]) for (let i = 0; i < OPERAND; i++) operand[i] = uniform() - 0.5;
  const x = Float64Array.from({ length: LONGEST }, () => (uniform() + 1) * (uniform() < 0.5 ? 0.5 : -0.5));
  const pick = <Choice>(choices: readonly Choice[]): Choice => choices[Math.floor(uniform() * choices.length)]!;
  for (const shape of shapes(pick)) {
    const { m, n, k, transposeA, transposeB } = shape;
    const [lda, ldb, ldc] = [
      (transposeA ? m : k) + pick(PADDING),
      (transposeB ? k : n) + pick(PADDING),
      n + pick(PADDING),
    ];
    const alpha = pick(SCALES);
    const beta = pick(KEPT);
    const before = beta === 0 ? Number.NaN : 0.25;
    c.fill(GUARD, 0, m * ldc + 1);
    for (let i = 0; i < m; i++) c.fill(before, i * ldc, i * ldc + n);
    const place = (index: number) => at + 4 * index * OPERAND;
    sgemm(m, n, k, alpha, place(0), lda, transposeA, place(1), ldb, transposeB, beta, place(2), ldc);

    const bx = times(b, ldb, transposeB, k, n, x);
    const abx = times(a, lda, transposeA, m, k, bx);
    let sumOfX = 0;
    for (let j = 0; j < n; j++) sumOfX += x[j]!;
    // The rounding of sums of k products below 1/4 in f32, seen through x.
    const tolerance = 2 ** -22 * (k + 16) * Math.sqrt(n);
    for (let i = 0; i < m; i++) {
      let cx = 0;
      for (let j = 0; j < n; j++) cx += c[i * ldc + j]! * x[j]!;
      const expected = alpha * abx[i]! + (beta === 0 ? 0 : beta * before * sumOfX);
      if (!(Math.abs(cx - expected) <= tolerance)) return describe(shape);
      for (let j = n; j < ldc; j++) if (c[i * ldc + j] !== GUARD) return `${describe(shape)}, beside which it wrote`;
    }
    if (c[m * ldc] !== GUARD) return `${describe(shape)}, behind which it wrote`;
  }
  return undefined;
}

/** op(matrix) x in f64, where op(matrix) is rows x cols. */
function times(
  matrix: Float32Array,
  ld: number,
  transposed: boolean,
  rows: number,
  cols: number,
  x: Float64Array,
): Float64Array {
  const y = new Float64Array(rows);
  if (transposed) for (let j = 0; j < cols; j++) for (let i = 0; i < rows; i++) y[i]! += matrix[j * ld + i]! * x[j]!;
  else
    for (let i = 0; i < rows; i++) {
      let sum = 0;
      for (let j = 0; j < cols; j++) sum += matrix[i * ld + j]! * x[j]!;
      y[i] = sum;
    }
  return y;
}

function describe({ m, n, k, transposeA, transposeB }: Shape): string {
  return `${m} x ${k}${transposeA ? ' transposed' : ''} by ${k} x ${n}${transposeB ? ' transposed' : ''}`;
}

/** Whether numbers below the normal range become zero on this thread: libraries built for speed arrange that. */
export function flushesDenormals(): boolean {
  const smallest = new Float64Array([Number.MIN_VALUE]);
  return smallest[0]! * 2 === 0;
}
