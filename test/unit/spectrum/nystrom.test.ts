import assert from 'node:assert/strict';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { nystromSvd } from '../../../src/spectrum/nystrom.ts';
import { matrixWith, SPECTRA, type SpectrumName } from '../../numeric/cases.ts';
import { checkOrthonormal, gramOf, residual } from '../../numeric/checks.ts';
import { sourceOf } from '../../numeric/device.ts';

const valuesOf = (spectrum: SpectrumName, p: number) =>
  Float64Array.from({ length: p }, (_, i) => SPECTRA[spectrum](i, p));

/** A symmetric positive semidefinite matrix whose eigenvalues are the squares of a chosen spectrum. */
function covariance(spectrum: SpectrumName, size: number): { values: Float64Array; data: Float32Array } {
  const values = valuesOf(spectrum, size);
  const data = Float32Array.from(gramOf(matrixWith(values, size, size, 4), size, size));
  return { values: values.map((value) => value * value), data };
}

describe('Nystrom approximation', () => {
  for (const spectrum of ['powerLaw', 'graded', 'weight', 'deficient', 'outlier', 'zero'] as const) {
    it(`of a covariance with a ${spectrum} spectrum is near the least error`, async () => {
      const [size, rank] = [90, 15];
      const { values, data } = covariance(spectrum, size);
      const factors = await nystromSvd(createReferenceBackend(), sourceOf(data, size, size), rank);
      checkOrthonormal(factors.left, size, rank);
      const least = Math.hypot(...values.subarray(rank));
      const error = residual(factors, data, size, size);
      // With k columns (2 r + 10 here), the expected error is 1 + r / (k - r - 1) times the least.
      const bound = (1 + rank / (rank + 9)) * least + 3e-5 * values[0]!;
      assert.ok(error <= bound, `error ${error}, ${least} is the least`);
      for (const [i, value] of factors.values.entries()) {
        // A Nystrom approximation never exceeds the matrix.
        assert.ok(value >= 0 && value <= values[i]! + 1e-5 * values[0]!, `eigenvalue ${i}`);
      }
    });
  }

  it('is exact for a matrix of at most that rank', async () => {
    const values = Float64Array.from({ length: 60 }, (_, i) => (i < 8 ? 3 - i / 8 : 0));
    const data = Float32Array.from(gramOf(matrixWith(values, 60, 60, 4), 60, 60));
    const factors = await nystromSvd(createReferenceBackend(), sourceOf(data, 60, 60), 8);
    assert.ok(residual(factors, data, 60, 60) <= 1e-5 * values[0]! ** 2 * Math.sqrt(60));
  });

  it('rejects a matrix that is not square, symmetric and positive', async () => {
    const backend = createReferenceBackend();
    const values = valuesOf('weight', 40);
    const lopsided = matrixWith(values, 40, 40, 4);
    const negative = covariance('weight', 40).data.map((entry) => -entry);
    const wrong = { code: 'wrong-use', subject: 'w' };
    await assert.rejects(nystromSvd(backend, sourceOf(new Float32Array(12), 3, 4, 'w'), 2), wrong);
    await assert.rejects(nystromSvd(backend, sourceOf(lopsided, 40, 40, 'w'), 5), {
      ...wrong,
      found: 'is not symmetric',
    });
    await assert.rejects(nystromSvd(backend, sourceOf(negative, 40, 40, 'w'), 5), {
      ...wrong,
      found: 'has a negative eigenvalue',
    });
    await assert.rejects(nystromSvd(backend, sourceOf(negative, 40, 40, 'w'), 41), wrong);
  });
});
