import assert from 'node:assert/strict';
import { seededRandom } from '../../src/base/random.ts';
import type { Backend } from '../../src/devices/backend.ts';
import { createReferenceBackend } from '../../src/devices/reference/backend.ts';
import { BACKENDS } from './backends.ts';
import { type Case, LARGE_CASES, matrixOf, SMALL_CASES, type SpectrumName } from './cases.ts';
import {
  C,
  checkOrthonormal,
  checkTriangular,
  checkTriplets,
  checkValues,
  EPSILON,
  gramOf,
  multiply,
  residual,
  tolerance,
  transpose,
} from './checks.ts';
import { onDevice, taken, withMatrix } from './device.ts';
import { lapackTruth, tableTruth } from './truth.ts';

const CASES = [...SMALL_CASES, ...LARGE_CASES];
const python = process.env.RANKSCOPE_PYTHON;

const small = (one: Case) => SMALL_CASES.includes(one);
const work = ({ rows, cols }: Case) => rows * cols * Math.min(rows, cols);

function gaussian(count: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: count }, () => random.normal());
}

/** Spectra of small matrices of which an emulated device computes one and all triplets as well. */
const IN_FULL: readonly SpectrumName[] = ['weight', 'deficient', 'zero'];

/** One, a third and all; only a third if checking takes seconds, and for most spectra on an emulated device. */
function ranksOf(one: Case, emulated: boolean): Set<number> {
  const p = Math.min(one.rows, one.cols);
  const third = Math.ceil(p / 3);
  const few = work(one) > 3e7 || (emulated && small(one) && !IN_FULL.includes(one.spectrum));
  return new Set(few ? [third] : [1, third, p]);
}

const matrices = new Map<Case, Float32Array>();
const matrix = (one: Case) => matrices.get(one) ?? matrices.set(one, matrixOf(one)).get(one)!;
const truths = new Map<Case, Float64Array>();

/** The true singular values: by f64 Jacobi if that is quick, otherwise by LAPACK in f64. */
async function truth(one: Case): Promise<Float64Array> {
  const known = truths.get(one);
  if (known) return known;
  const data = matrix(one);
  const found = small(one) ? await byReference(data, one.rows, one.cols) : tableTruth(one, data);
  truths.set(one, found);
  return found;
}

function byReference(data: Float32Array, rows: number, cols: number): Promise<Float64Array> {
  const reference = createReferenceBackend();
  return withMatrix(reference, data, rows, cols, (on) => reference.singularValues(on));
}

describe('the truth', () => {
  const title = 'of small cases agrees with LAPACK in f64';
  if (!python) it.skip(`${title} (set RANKSCOPE_PYTHON to a Python with numpy)`);
  else {
    it(title, async () => {
      const lapack = lapackTruth(
        python,
        SMALL_CASES.map((one) => ({
          rows: one.rows,
          cols: one.cols,
          data: matrix(one),
        })),
      );
      for (const [i, one] of SMALL_CASES.entries()) {
        const values = await truth(one);
        const bound = 100 * 2 ** -52 * values[0]!;
        for (const [k, value] of values.entries()) assert.ok(Math.abs(value - lapack[i]![k]!) <= bound, one.name);
      }
    });
  }

  it('rejects a tail of zeros, noise of 1e-3 and values out of order', async () => {
    for (const one of LARGE_CASES.filter(({ spectrum }) => spectrum !== 'deficient')) {
      const right = await truth(one);
      checkValues(right, right, one);
      const half = Math.ceil(right.length / 2);
      // A tail at the rounding level of sigma_1 may be zero; no other may.
      if (right[half]! > 2 * tolerance(one.rows, one.cols, right[0]!)) {
        const cut = right.map((value, i) => (i < half ? value : 0));
        assert.throws(() => checkValues(cut, right, one), /is right/, one.name);
      }
      const random = seededRandom(7);
      const noisy = right.map((value) => value + 1e-3 * right[0]! * random.normal());
      assert.throws(() => checkValues(noisy.sort().reverse(), right, one), /is right/, one.name);
      const swapped = right.toReversed();
      if (right[0] !== right.at(-1)) assert.throws(() => checkValues(swapped, right, one), one.name);
    }
  });
});

for (const { name, workLimit, longSide, vectorSlack, emulated = false, open } of BACKENDS) {
  describe(`device ${name}`, function () {
    this.timeout(120_000);
    let backend: Backend;
    before(async () => {
      backend = await open();
      assert.equal(backend.info.name, name);
    });
    after(() => backend?.close());

    const fitting = CASES.filter((one) => work(one) <= workLimit);

    describe('all singular values', () => {
      for (const one of fitting) {
        it(one.name, async () => {
          const values = await withMatrix(backend, matrix(one), one.rows, one.cols, (on) => backend.singularValues(on));
          checkValues(values, await truth(one), one);
        });
      }

      it('do not depend on the previous content of memory', async () => {
        const one = fitting.findLast((candidate) => work(candidate) < 1e8)!;
        const garbage = new Float32Array(one.rows * one.cols).fill(Number.NaN);
        for (let i = 0; i < 3; i++) backend.free(await onDevice(backend, garbage, one.rows, one.cols));
        const values = await withMatrix(backend, matrix(one), one.rows, one.cols, (on) => backend.singularValues(on));
        checkValues(values, await truth(one), one);
      });

      it('are reproducible', async () => {
        const one = fitting.at(-1)!;
        const run = () => withMatrix(backend, matrix(one), one.rows, one.cols, (on) => backend.singularValues(on));
        assert.deepEqual(await run(), await run());
      });
    });

    describe('leading singular triplets', () => {
      for (const one of fitting.filter((candidate) => work(candidate) <= 1.4e8)) {
        for (const rank of ranksOf(one, emulated)) {
          it(`${rank} of ${one.name}`, async () => {
            const data = matrix(one);
            const factors = await withMatrix(backend, data, one.rows, one.cols, (on) => backend.svd(on, rank));
            const right = await truth(one);
            checkValues(factors.values, right.subarray(0, rank), one);
            checkOrthonormal(factors.left, one.rows, rank);
            checkOrthonormal(factors.right, one.cols, rank);
            checkTriplets(factors, data, one, vectorSlack);
            const optimal = Math.hypot(...right.subarray(rank));
            const bound = optimal + Math.sqrt(rank) * tolerance(one.rows, one.cols, right[0]!);
            assert.ok(residual(factors, data, one.rows, one.cols) <= bound, 'error of the truncation');
          });
        }
      }
    });

    describe('QR', () => {
      for (const one of fitting.filter((candidate) => candidate.rows >= candidate.cols && work(candidate) <= 3e7)) {
        it(`of ${one.name} has orthonormal Q, upper triangular R, and Q R is the matrix`, async () => {
          const { rows, cols } = one;
          const data = matrix(one);
          const on = await onDevice(backend, data, rows, cols);
          const r = await taken(backend, await backend.orthonormalize(on));
          const q = await taken(backend, on);
          checkOrthonormal(q, rows, cols);
          checkTriangular(r, cols);
          const product = multiply(q, r, rows, cols, cols);
          const bound = tolerance(rows, cols, (await truth(one))[0]!);
          for (const [i, entry] of product.entries()) assert.ok(Math.abs(entry - data[i]!) <= bound, `entry ${i}`);
        });

        it(`R alone of ${one.name} is upper triangular and has the Gram matrix of the matrix`, async () => {
          const { rows, cols } = one;
          const data = matrix(one);
          const r = await withMatrix(backend, data, rows, cols, async (on) =>
            taken(backend, await backend.triangularize(on)),
          );
          checkTriangular(r, cols);
          const ours = gramOf(r, cols, cols);
          const theirs = gramOf(data, rows, cols);
          const sigma1 = (await truth(one))[0]!;
          const bound = 2 * sigma1 * tolerance(rows, cols, sigma1);
          for (const [i, entry] of ours.entries()) assert.ok(Math.abs(entry - theirs[i]!) <= bound, `entry ${i}`);
        });
      }

      it('R of a triangle on further rows is that of a matrix of which nothing is known', async () => {
        const [rows, cols] = [90, 50];
        const data = gaussian(rows * cols, 8).map((entry, i) => (i < cols ** 2 && i % cols < i / cols - 1 ? 0 : entry));
        const results = [false, true].map((onTriangle) =>
          withMatrix(backend, data, rows, cols, async (on) =>
            taken(backend, await backend.triangularize(on, { onTriangle })),
          ),
        );
        const [plain, found] = [await results[0]!, await results[1]!];
        const bound = tolerance(rows, cols, (await byReference(data, rows, cols))[0]!);
        for (const [i, entry] of found.entries())
          assert.ok(Math.abs(Math.abs(entry) - Math.abs(plain[i]!)) <= bound, `entry ${i}`);
      });
    });

    describe('product', () => {
      const sizes = [
        [1, 1, 1],
        [1, 7, 3],
        [5, 1, 4],
        [16, 16, 16],
        [33, 17, 65],
        [130, 70, 66],
        [3, 300, 257],
        [257, 129, 4],
        [100, 5000, 10],
        [16, 5000, 64],
      ] as const;
      for (const [m, depth, n] of sizes) {
        it(`of ${m} x ${depth} and ${depth} x ${n}, each plain and transposed`, async () => {
          const a = gaussian(m * depth, 1);
          const b = gaussian(depth * n, 2);
          const old = gaussian(m * n, 3);
          const exact = multiply(a, b, m, depth, n);
          for (const transposeA of [false, true]) {
            for (const transposeB of [false, true]) {
              const left = transposeA
                ? await onDevice(backend, transpose(a, m, depth), depth, m)
                : await onDevice(backend, a, m, depth);
              const right = transposeB
                ? await onDevice(backend, transpose(b, depth, n), n, depth)
                : await onDevice(backend, b, depth, n);
              for (const [alpha, beta] of [
                [1, 0],
                [-0.5, 1],
                [2, -3],
              ] as const) {
                const start = beta === 0 ? new Float32Array(m * n).fill(Number.NaN) : old;
                const out = await onDevice(backend, start, m, n);
                await backend.multiply(out, left, right, {
                  transposeA,
                  transposeB,
                  alpha,
                  beta,
                });
                const got = await taken(backend, out);
                for (const [i, entry] of got.entries()) {
                  const right = alpha * exact[i]! + (beta === 0 ? 0 : beta * old[i]!);
                  // For standard normal entries, a sum of `depth` products has a rounding error of about eps
                  // sqrt(depth) sqrt(depth).
                  const bound = C * EPSILON * (Math.abs(alpha) * (depth + 8) + 8 * Math.abs(beta));
                  assert.ok(Math.abs(entry - right) <= bound, `entry ${i} is ${entry}, not ${right}`);
                }
              }
              backend.free(left);
              backend.free(right);
            }
          }
        });
      }

      for (const [rows, cols, width] of [
        [30, 20, 4],
        [700, 900, 16],
      ] as const) {
        it(`of ${rows} x ${cols} and ${cols} x ${width}, and of what comes of it, in turn`, async () => {
          const [a, b] = [gaussian(rows * cols, 1), gaussian(cols * width, 2)];
          const first = multiply(a, b, rows, cols, width);
          const second = multiply(transpose(a, rows, cols), first, cols, rows, width);
          const [left, right] = [await onDevice(backend, a, rows, cols), await onDevice(backend, b, cols, width)];
          const [seen, back] = [await backend.allocate(rows, width), await onDevice(backend, b, cols, width)];
          await backend.multiplyInTurn([
            { out: seen, a: left, b: right },
            { out: back, a: left, b: seen, transposeA: true, beta: -1 },
          ]);
          const got = await taken(backend, back);
          for (const [i, entry] of got.entries()) {
            const exact = second[i]! - b[i]!;
            // The sums of `rows` entries of size sqrt(cols), which are as inexact as sums of `cols` numbers.
            const bound = C * EPSILON * (rows + 8) * Math.sqrt(cols) * (1 + Math.sqrt(cols / rows));
            assert.ok(Math.abs(entry - exact) <= bound, `entry ${i} is ${entry}, not ${exact}`);
          }
          for (const on of [left, right, seen]) backend.free(on);
        });
      }

      it('of none is nothing', () => backend.multiplyInTurn([]));

      it('of shapes that do not match is rejected', async () => {
        const [a, b, out] = [await backend.allocate(3, 4), await backend.allocate(3, 4), await backend.allocate(3, 4)];
        await assert.rejects(backend.multiply(out, a, b), {
          code: 'wrong-use',
        });
        await assert.rejects(backend.multiplyInTurn([{ out, a, b }]), { code: 'wrong-use' });
        for (const on of [a, b, out]) backend.free(on);
      });
    });

    describe('memory and cancellation', () => {
      it('downloads rows that were uploaded in any order and in parts', async () => {
        const data = gaussian(37 * 5, 4);
        const on = await backend.allocate(37, 5);
        for (const [row, rows] of [
          [20, 17],
          [0, 1],
          [1, 19],
        ] as const) {
          await backend.upload(on, row, rows, async (out) => {
            assert.equal(out.length, rows * 5);
            out.set(data.subarray(row * 5, (row + rows) * 5));
          });
        }
        assert.deepEqual(await taken(backend, on), data);
      });

      it('rejects a matrix beyond all memory before allocating it', async () => {
        await assert.rejects(backend.allocate(2 ** 26, 2 ** 22), {
          code: 'too-large',
        });
      });

      it('rejects every routine if the signal is already aborted', async () => {
        const signal = AbortSignal.abort();
        const data = gaussian(64 * 64, 5);
        for (const routine of [
          (on: Parameters<Backend['svd']>[0]) => backend.singularValues(on, { signal }),
          (on: Parameters<Backend['svd']>[0]) => backend.svd(on, 8, { signal }),
          (on: Parameters<Backend['svd']>[0]) => backend.orthonormalize(on, { signal }),
          (on: Parameters<Backend['svd']>[0]) => backend.triangularize(on, { signal }),
        ]) {
          await withMatrix(backend, data, 64, 64, (on) => assert.rejects(routine(on), { code: 'cancelled' }));
        }
      });

      it('cancels an SVD in the middle and stays usable', async () => {
        const data = gaussian(longSide * longSide, 6);
        const shares: number[] = [];
        const controller = new AbortController();
        const aborted = await withMatrix(backend, data, longSide, longSide, async (on) => {
          const timer = setTimeout(() => controller.abort(), 50);
          const { signal } = controller;
          const options = {
            signal,
            progress: (share: number) => shares.push(share),
          };
          await assert.rejects(backend.svd(on, longSide, options), {
            code: 'cancelled',
          });
          clearTimeout(timer);
          return controller.signal.aborted;
        });
        assert.ok(aborted);
        assert.ok(shares.every((share) => share >= 0 && share <= 1));
        const one = SMALL_CASES.find(({ name: it }) => it === 'weight 64 x 64')!;
        const values = await withMatrix(backend, matrix(one), one.rows, one.cols, (on) => backend.singularValues(on));
        checkValues(values, await truth(one), one);
      });
    });
  });
}
