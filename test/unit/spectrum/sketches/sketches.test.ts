import assert from 'node:assert/strict';
import { createReferenceBackend } from '../../../../src/devices/reference/backend.ts';
import { columnRowSvd } from '../../../../src/spectrum/sketches/columnRow.ts';
import { generalizedNystrom } from '../../../../src/spectrum/sketches/generalizedNystrom.ts';
import { withLoadedMatrix } from '../../../../src/spectrum/sketches/loadedMatrix.ts';
import { randomizedSvd } from '../../../../src/spectrum/sketches/randomized.ts';
import type { Sketched, SketchOptions } from '../../../../src/spectrum/sketches/sketch.ts';
import { matrixWith, SPECTRA, type SpectrumName } from '../../../numeric/cases.ts';
import { checkOrthonormal, EPSILON, residual } from '../../../numeric/checks.ts';
import { sourceOf } from '../../../numeric/device.ts';

const METHODS = { randomized: randomizedSvd, nystrom: generalizedNystrom, 'column-row': columnRowSvd };
type Method = keyof typeof METHODS;

interface TestCase {
  readonly data: Float32Array;
  readonly rows: number;
  readonly cols: number;
  readonly values: Float64Array;
  readonly norm: number;
}

function chosen(spectrum: SpectrumName, rows: number, cols: number): TestCase {
  const p = Math.min(rows, cols);
  const values = Float64Array.from({ length: p }, (_, i) => SPECTRA[spectrum](i, p));
  return { data: matrixWith(values, rows, cols, 6), rows, cols, values, norm: Math.hypot(...values) };
}

function sketch(
  method: Method,
  { data, rows, cols }: Pick<TestCase, 'data' | 'rows' | 'cols'>,
  rank: number,
  options: SketchOptions & { readonly powerIterations?: number } = {},
): Promise<Sketched> {
  const backend = createReferenceBackend();
  return withLoadedMatrix(backend, sourceOf(data, rows, cols, 'w'), {}, (loaded) =>
    METHODS[method](backend, loaded, rank, options),
  );
}

/** Bounds of the error as a multiple of the least one, for these seeds and 10 columns beyond the rank. */
const SLACK = { randomized: 1.2, nystrom: 4.5, 'column-row': 2.5 };

for (const method of Object.keys(METHODS) as Method[])
  describe(`the ${method} sketch`, () => {
    for (const spectrum of ['powerLaw', 'graded', 'weight', 'step', 'flat', 'outlier', 'zero'] as const)
      for (const [rows, cols] of [
        [80, 110],
        [120, 70],
      ] as const)
        it(`of ${spectrum} ${rows} x ${cols} predicts its error, which is of the order of the least`, async () => {
          const one = chosen(spectrum, rows, cols);
          const rank = 14;
          const { factors, predicted } = await sketch(method, one, rank);
          checkOrthonormal(factors.left, rows, rank);
          checkOrthonormal(factors.right, cols, rank);
          const measured = residual(factors, one.data, rows, cols);
          const relative = one.norm === 0 ? 0 : measured / one.norm;
          const [low, high] = predicted.band;
          // Entries of W are rounded to f32, which no prediction knows.
          const rounding = EPSILON * Math.sqrt(rank);
          assert.ok(low - rounding <= relative && relative <= high + rounding, `${relative} in ${low} to ${high}`);
          const least = Math.hypot(...one.values.subarray(rank));
          assert.ok(measured >= least * (1 - 1e-4) - 1e-6 * one.norm, 'no error is below the least');
          assert.ok(measured <= SLACK[method] * least + 1e-4 * one.norm, `error ${measured}, ${least} is the least`);
        });

    it('is exact for a matrix of at most that rank', async () => {
      const values = Float64Array.from({ length: 50 }, (_, i) => (i < 9 ? 2 : 0));
      const data = matrixWith(values, 70, 50, 6);
      const { factors, predicted } = await sketch(method, { data, rows: 70, cols: 50 }, 9);
      assert.ok(residual(factors, data, 70, 50) <= 1e-5 * Math.hypot(...values));
      assert.ok(predicted.band[0] <= 1e-5 && predicted.error <= 3e-3);
    });

    for (const [rows, cols, rank] of [
      [1, 1, 1],
      [1, 30, 1],
      [30, 1, 1],
      [7, 5, 5],
    ] as const)
      it(`of ${rows} x ${cols} at its full rank leaves nothing`, async () => {
        const one = chosen('powerLaw', rows, cols);
        const { factors } = await sketch(method, one, rank);
        assert.ok(residual(factors, one.data, rows, cols) <= 3e-5 * one.norm);
      });

    it('is the same for the same seed, and another one for another', async () => {
      const one = chosen('weight', 40, 50);
      assert.deepEqual(await sketch(method, one, 5, { seed: 3 }), await sketch(method, one, 5, { seed: 3 }));
      const other = await sketch(method, one, 5, { seed: 4 });
      assert.notDeepEqual((await sketch(method, one, 5, { seed: 3 })).factors, other.factors);
    });

    it('has factors of the size of the matrix also where f32 cannot square its entries', async () => {
      const one = chosen('powerLaw', 40, 30);
      const plain = await sketch(method, one, 6);
      for (const power of [100, -100]) {
        const data = one.data.map((entry) => entry * 2 ** power);
        const scaled = await sketch(method, { ...one, data }, 6);
        assert.ok(Math.abs(scaled.factors.values[0]! / 2 ** power / plain.factors.values[0]! - 1) < 1e-5);
        assert.ok(Math.abs(scaled.predicted.error - plain.predicted.error) < 1e-5);
      }
    });

    it('refuses a rank that the matrix cannot have, and an entry that is not finite', async () => {
      const one = chosen('flat', 6, 4);
      for (const rank of [0, 5, 1.5])
        await assert.rejects(sketch(method, one, rank), { code: 'wrong-use', subject: 'w' });
      const data = one.data.slice();
      data[7] = Number.NaN;
      await assert.rejects(sketch(method, { ...one, data }, 2), { code: 'not-finite', subject: 'w' });
    });
  });

describe('randomized SVD', () => {
  it('comes nearer to the least error with power iterations and with oversampling', async () => {
    const one = chosen('weight', 100, 90);
    const error = async (options: SketchOptions & { readonly powerIterations?: number }) =>
      (await sketch('randomized', one, 12, options)).predicted.error;
    const [none, one1, three] = [
      await error({ powerIterations: 0 }),
      await error({ powerIterations: 1 }),
      await error({ powerIterations: 3 }),
    ];
    assert.ok(none > one1 && one1 > three, `${none}, ${one1}, ${three}`);
    assert.ok((await error({ powerIterations: 0, oversampling: 40 })) < none);
    assert.ok((await error({ powerIterations: 0, oversampling: 0 })) > none);
  });

  it('counts its products: two and two more for each power iteration', async () => {
    const one = chosen('flat', 30, 20);
    for (const powerIterations of [0, 1, 4]) {
      const { cost } = await sketch('randomized', one, 3, { powerIterations });
      assert.equal(cost.passes, 2 + 2 * powerIterations);
      assert.ok(cost.multiplyAdds >= cost.passes * 30 * 20 * 13);
    }
  });
});

describe('the probes of a Nystrom approximation', () => {
  it('give a band that holds the error in at least 97 of 100 trials', async () => {
    const one = chosen('weight', 50, 60);
    let held = 0;
    const trials = 200;
    for (let seed = 1; seed <= trials; seed++) {
      const { factors, predicted } = await sketch('nystrom', one, 6, { seed });
      const relative = residual(factors, one.data, 50, 60) / one.norm;
      if (predicted.band[0] <= relative && relative <= predicted.band[1]) held++;
      assert.ok(predicted.band[0] < predicted.error && predicted.error < predicted.band[1]);
    }
    assert.ok(held >= 0.97 * trials, `${held} of ${trials}`);
  });
});

describe('column/row approximation', () => {
  const found = (data: Float32Array, rows: number, cols: number, rank: number, seed: number) => {
    const backend = createReferenceBackend();
    return withLoadedMatrix(backend, sourceOf(data, rows, cols), {}, (loaded) =>
      columnRowSvd(backend, loaded, rank, { seed }),
    );
  };

  it('takes distinct rows and columns, those that matter among them', async () => {
    const { data } = chosen('flat', 40, 40);
    const lopsided = data.map((entry, i) => (i % 40 === 7 ? 1000 * entry : entry));
    for (let seed = 1; seed <= 5; seed++) {
      const { rows, columns } = await found(lopsided, 40, 40, 2, seed);
      assert.ok(columns.includes(7));
      for (const taken of [rows, columns]) assert.equal(new Set(taken).size, 12);
    }
  });
});
