import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import type { Backend } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { exactSpectrum } from '../../../src/spectrum/exact.ts';
import { principalAngles } from '../../../src/spectrum/principalAngles.ts';
import { sharedFactors } from '../../../src/spectrum/sharedFactors.ts';
import { stackedRows } from '../../../src/spectrum/stackedRows.ts';
import { transposeOf } from '../../../src/spectrum/transpose.ts';
import { sourceOf, withMatrix } from '../../numeric/device.ts';

const N = 20;

/** Matrices of these heights and of very different sizes, whose entries decay along the columns. */
function matricesOf(heights: readonly number[]): Float32Array[] {
  const random = seededRandom(5);
  return heights.map((m, k) =>
    Float32Array.from({ length: m * N }, (_, at) => 10 ** (3 * k - 3) * random.normal() * 0.8 ** (at % N)),
  );
}

const energyOf = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value * value, 0);

/** The matrices one below the other, each with a mean square entry of one, in f64. */
function stackOf(matrices: readonly Float32Array[]): { scales: number[]; stack: Float64Array } {
  const scales = matrices.map((values) => Math.sqrt(values.length / energyOf(values)));
  return {
    scales,
    stack: Float64Array.from(matrices.flatMap((own, k) => Array.from(own, (value) => value * scales[k]!))),
  };
}

/** Singular values by Jacobi rotations in f64. */
async function truth(stack: Float64Array): Promise<Float64Array> {
  const backend = createReferenceBackend();
  return withMatrix(backend, Float32Array.from(stack), stack.length / N, N, (matrix) => backend.singularValues(matrix));
}

describe('a factor that several matrices share', () => {
  let backend: Backend;
  before(() => {
    backend = createCpuBackend(1);
  });
  after(() => backend.close());

  for (const [heights, rank] of [
    [[30, 44, 12], 7],
    [[5, 4], 6],
    [[20, 20], 1],
  ] as const)
    for (const transposed of [false, true])
      it(`of ${heights.join(', ')} rows${transposed ? ', stored as their transposes,' : ''} loses what the spectrum of the stack says`, async () => {
        const matrices = matricesOf(heights);
        const { scales, stack } = stackOf(matrices);
        const values = await truth(stack);
        const sources = matrices.map((own, k) =>
          transposed
            ? sourceOf(transposeOf(own, N), N, heights[k]!, `matrix ${k}`)
            : sourceOf(own, heights[k]!, N, `matrix ${k}`),
        );
        const rows = stackedRows(
          'stack',
          sources.map((source, k) => ({ source, scale: scales[k]! })),
          transposed,
        );
        const { singularValues } = await exactSpectrum(backend, rows);
        for (const [k, value] of singularValues.entries())
          assert.ok(Math.abs(value - values[k]!) < 1e-5 * values[0]!, `value ${k}: ${value}, not ${values[k]}`);

        const { a, b } = await sharedFactors(backend, { name: 'stack', sources, transposed }, rank);
        assert.equal(a.length, rank * N);
        let lost = 0;
        for (const [k, own] of matrices.entries()) {
          assert.equal(b[k]!.length, heights[k]! * rank);
          for (const [at, value] of own.entries()) {
            const [i, j] = [Math.floor(at / N), at % N];
            let product = 0;
            for (let l = 0; l < rank; l++) product += b[k]![i * rank + l]! * a[l * N + j]!;
            lost += (scales[k]! * (value - product)) ** 2;
          }
        }
        const least = energyOf(values.slice(rank));
        assert.ok(Math.abs(lost - least) < 1e-5 * energyOf(values), `${lost}, not ${least}`);
      });

  it('is not looked for in a matrix with NaN', async () => {
    const values = matricesOf([4, 4]);
    values[1]![3] = Number.NaN;
    const sources = values.map((own, k) => sourceOf(own, 4, N, `matrix ${k}`));
    await assert.rejects(
      sharedFactors(backend, { name: 'x', sources, transposed: false }, 2),
      /matrix 1: contains NaN/,
    );
  });
});

describe('principal angles', () => {
  it('are those between known planes, and none between a space and itself', async () => {
    const backend = createReferenceBackend();
    const [c, s] = [Math.cos(0.3), Math.sin(0.3)];
    // Planes in four dimensions, as n x 2: the second turns both directions, by 0.3 and by a right angle.
    const first = Float32Array.of(1, 0, 0, 1, 0, 0, 0, 0);
    const second = Float32Array.of(c, 0, 0, 0, s, 0, 0, 1);
    const pairs = await principalAngles(backend, 'x', [first, second, first], 2);
    assert.deepEqual(
      pairs.map((pair) => [pair.first, pair.second]),
      [
        [0, 1],
        [0, 2],
        [1, 2],
      ],
    );
    for (const [k, right] of [
      [c, 0],
      [1, 1],
      [c, 0],
    ].entries())
      for (const [i, cosine] of right.entries())
        assert.ok(Math.abs(pairs[k]!.cosines[i]! - cosine) < 1e-6, `${pairs[k]!.cosines.join()}`);
  });
});
