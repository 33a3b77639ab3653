import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { dqdsValues } from '../../../src/devices/cpu/dqds.ts';

const filled = (n: number, of: (i: number) => number) => Float64Array.from({ length: Math.max(0, n) }, (_, i) => of(i));

/** The values of the n x n matrix with ones on both diagonals: 2 cos(k pi / (2 n + 1)). */
const toeplitz = (n: number) => filled(n, (i) => 2 * Math.cos(((i + 1) * Math.PI) / (2 * n + 1)));

function near(found: Float64Array, right: Float64Array, tolerance: number): void {
  assert.equal(found.length, right.length);
  for (let i = 0; i < right.length; i++) {
    assert.ok(Math.abs(found[i]! - right[i]!) <= tolerance, `value ${i}: ${found[i]} for ${right[i]}`);
  }
}

/** The sum of squares, which singular values preserve. */
const energy = (...parts: Float64Array[]) => parts.reduce((sum, x) => sum + x.reduce((s, y) => s + y * y, 0), 0);

const random = seededRandom(3);
const CASES: Record<string, [Float64Array, Float64Array]> = {
  'ones on both diagonals': [filled(300, () => 1), filled(299, () => 1)],
  'the identity': [filled(150, () => 1), filled(149, () => 0)],
  'the identity with rounding beside it': [filled(150, () => 1), filled(149, () => 1e-7 * random.normal())],
  'graded over six decades': [filled(200, (i) => 10 ** (-i / 33)), filled(199, (i) => 0.7 * 10 ** (-i / 33))],
  'graded the other way': [filled(200, (i) => 10 ** (i / 33 - 6)), filled(199, (i) => 0.7 * 10 ** (i / 33 - 6))],
  random: [filled(257, () => random.normal()), filled(256, () => random.normal())],
  'zeros on the diagonal': [filled(120, (i) => (i % 7 === 3 ? 0 : 1 + (i % 5))), filled(119, () => 0.5)],
  'zeros beside it': [filled(120, (i) => 1 + (i % 5)), filled(119, (i) => (i % 11 === 4 ? 0 : 0.5))],
  'copies glued by almost nothing': [
    filled(210, (i) => Math.abs((i % 21) - 10) + 1),
    filled(209, (i) => (i % 21 === 20 ? 1e-9 : 1)),
  ],
  'half of rank': [
    filled(160, (i) => (i < 80 ? 1 : 1e-9 * random.normal())),
    filled(159, (i) => (i < 79 ? 0.3 : 1e-9 * random.normal())),
  ],
  'one number': [Float64Array.of(-3), new Float64Array(0)],
};

describe('singular values of a bidiagonal matrix', () => {
  it('are 2 cos(k pi / (2 n + 1)) if both diagonals are ones', () => {
    for (const n of [1, 2, 3, 50, 1000])
      near(
        dqdsValues(
          filled(n, () => 1),
          filled(n - 1, () => 1),
        ),
        toeplitz(n),
        1e-9,
      );
  });

  it('scale with the matrix from 1e-30 to 1e30 and ignore signs', () => {
    for (const scale of [1e-30, 1e30]) {
      const found = dqdsValues(
        filled(40, (i) => (i % 2 ? -scale : scale)),
        filled(39, (i) => (i % 3 ? -scale : scale)),
      );
      near(
        found.map((x) => x / scale),
        toeplitz(40),
        1e-9,
      );
    }
  });

  it('are zero for a zero matrix, and NaN if an entry is not finite', () => {
    assert.deepEqual(dqdsValues(new Float64Array(5), new Float64Array(4)), new Float64Array(5));
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.ok(dqdsValues(Float64Array.of(1, bad, 1), Float64Array.of(1, 1)).every(Number.isNaN));
    }
  });

  it('are right where products of neighbours vanish in f64', () => {
    const [glue, small] = [3.73535865598917e-15, 1.9575176200077278e-9];
    const diagonal = filled(126, (i) => (i === 125 ? 1 : small));
    const superdiagonal = filled(125, (i) => (i % 7 === 6 ? glue : 1));
    const values = dqdsValues(diagonal, superdiagonal, 0);
    near(values.slice(108, 125), new Float64Array(17).fill(glue), 1e-9 * glue);
  });

  for (const [name, [diagonal, superdiagonal]] of Object.entries(CASES)) {
    it(`descend and preserve the energy: ${name}`, () => {
      const values = dqdsValues(diagonal, superdiagonal);
      const total = energy(diagonal, superdiagonal);
      assert.ok(Math.abs(energy(values) - total) <= 1e-9 * total);
      near(values, dqdsValues(diagonal, superdiagonal, 0), 1e-9 * values[0]!);
      assert.ok(values.every((x, i) => x >= 0 && (i === 0 || x <= values[i - 1]!)));
    });
  }
});

describe('singular vectors of a bidiagonal matrix', () => {
  for (const [name, [diagonal, superdiagonal]] of Object.entries(CASES)) {
    it(`satisfy their equations and are orthogonal to f32 precision: ${name}`, async () => {
      const n = diagonal.length;
      const backend = createCpuBackend(2);
      const { left, values, right } = await backend.bidiagonalTriplets({ diagonal, superdiagonal }, n);
      await backend.close();
      assert.equal(values.length, n);
      const top = values[0]!;
      const column = (factor: Float32Array, k: number) => filled(n, (i) => factor[i * n + k]!);
      const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
      const seen: { left: Float64Array; right: Float64Array; value: number }[] = [];
      for (const [k, value] of values.entries()) {
        const [u, v] = [column(left, k), column(right, k)];
        for (let i = 0; i < n; i++) {
          const image = diagonal[i]! * v[i]! + (i + 1 < n ? superdiagonal[i]! * v[i + 1]! : 0);
          assert.ok(Math.abs(image - value * u[i]!) <= 2 ** -22 * top, `row ${i} of value ${value}`);
        }
        assert.ok(Math.abs(dot(v, v) - 1) <= 1e-6, `the norm of the vector of ${value}`);
        // The left vector of a negligible value is undetermined; callers complete it.
        for (const other of seen) {
          assert.ok(Math.abs(dot(v, other.right)) <= 1e-4, `right vectors of ${value} and ${other.value}`);
          if (value > 1e-7 * top) assert.ok(Math.abs(dot(u, other.left)) <= 1e-4, `left of ${value}`);
        }
        seen.push({ left: u, right: v, value });
      }
    });
  }
});
