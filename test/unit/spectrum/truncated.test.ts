import assert from 'node:assert/strict';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { svdCost } from '../../../src/spectrum/costModel.ts';
import { truncatedSvd } from '../../../src/spectrum/truncated.ts';
import { matrixWith, SPECTRA, type SpectrumName } from '../../numeric/cases.ts';
import { checkOrthonormal, checkTriplets, residual } from '../../numeric/checks.ts';
import { sourceOf } from '../../numeric/device.ts';

function known(spectrum: SpectrumName, rows: number, cols: number) {
  const p = Math.min(rows, cols);
  const values = Float64Array.from({ length: p }, (_, i) => SPECTRA[spectrum](i, p));
  return { values, data: matrixWith(values, rows, cols, 11) };
}

describe('truncated SVD', () => {
  for (const spectrum of Object.keys(SPECTRA) as SpectrumName[]) {
    for (const [rows, cols] of [
      [90, 120],
      [150, 60],
    ] as const) {
      it(`by sketch of ${spectrum} ${rows} x ${cols} is orthonormal and within 1 % of the least error`, async () => {
        const { values, data } = known(spectrum, rows, cols);
        const rank = 12;
        const factors = await truncatedSvd(createReferenceBackend(), sourceOf(data, rows, cols), rank, {
          route: 'sketch',
        });
        checkOrthonormal(factors.left, rows, rank);
        checkOrthonormal(factors.right, cols, rank);
        const least = Math.hypot(...values.subarray(rank));
        // The rounding of the f32 factors adds to an error of zero.
        const rounding = 1e-6 * Math.hypot(...values);
        const error = residual(factors, data, rows, cols);
        assert.ok(error <= 1.01 * least + rounding, `error ${error}, ${least} is the least`);
        for (const [i, value] of factors.values.entries()) {
          assert.ok(value <= values[i]! * (1 + 1e-5) + rounding, `sigma_${i} is never above its truth`);
        }
      });
    }
  }

  it('by the exact route is accurate to working precision', async () => {
    const { data } = known('weight', 80, 50);
    const factors = await truncatedSvd(createReferenceBackend(), sourceOf(data, 80, 50), 9, { route: 'exact' });
    checkTriplets(factors, data, { rows: 80, cols: 50 });
  });

  it('is accurate at magnitudes that f32 cannot square', async () => {
    const { data } = known('powerLaw', 80, 50);
    const tiny = data.map((entry) => entry * 2 ** -110);
    for (const route of ['exact', 'sketch'] as const) {
      const usual = await truncatedSvd(createReferenceBackend(), sourceOf(data, 80, 50), 5, { route });
      const scaled = await truncatedSvd(createReferenceBackend(), sourceOf(tiny, 80, 50), 5, { route });
      for (const [i, value] of scaled.values.entries()) {
        assert.ok(Math.abs(value / 2 ** -110 / usual.values[i]! - 1) < 1e-5);
      }
    }
  });

  it('is deterministic for a seed', async () => {
    const { data } = known('weight', 160, 170);
    const run = (seed: number) =>
      truncatedSvd(createReferenceBackend(), sourceOf(data, 160, 170), 4, { route: 'sketch', seed });
    assert.deepEqual(await run(3), await run(3));
    assert.notDeepEqual((await run(3)).left, (await run(4)).left);
  });

  it('of an impossible rank is rejected', async () => {
    for (const rank of [0, -1, 1.5, 31, Number.NaN]) {
      const source = sourceOf(new Float32Array(30 * 40), 30, 40, 'w');
      await assert.rejects(truncatedSvd(createReferenceBackend(), source, rank), { code: 'wrong-use', subject: 'w' });
    }
  });

  it('frees its matrices when it is cancelled', async () => {
    const { data } = known('weight', 60, 70);
    const backend = createReferenceBackend();
    let live = 0;
    const counted = {
      ...backend,
      allocate: async (rows: number, cols: number) => {
        live++;
        return backend.allocate(rows, cols);
      },
      orthonormalize: async (...args: Parameters<typeof backend.orthonormalize>) => {
        live++;
        return backend.orthonormalize(...args);
      },
      free: (matrix: Parameters<typeof backend.free>[0]) => {
        live--;
        backend.free(matrix);
      },
    };
    const controller = new AbortController();
    const options = { route: 'sketch', signal: controller.signal, progress: () => controller.abort() } as const;
    await assert.rejects(truncatedSvd(counted, sourceOf(data, 60, 70), 4, options), { code: 'cancelled' });
    assert.equal(live, 0);
    await truncatedSvd(counted, sourceOf(data, 60, 70), 4, { route: 'sketch' });
    assert.equal(live, 0);
  });

  it('is sketched if the rank is small compared with the matrix, otherwise exact', () => {
    const sketched = (m: number, n: number, rank: number) => svdCost(m, n, rank).sketch < svdCost(m, n, rank).exact;
    assert.ok(sketched(4096, 4096, 256));
    assert.ok(sketched(32000, 4096, 64));
    assert.ok(!sketched(1024, 1024, 800));
    assert.ok(!sketched(64, 64, 32));
  });
});
