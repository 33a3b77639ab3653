import assert from 'node:assert/strict';
import { ENERGY_LEVELS } from '../../src/base/energyLevels.ts';
import type { Backend, RowSource } from '../../src/devices/backend.ts';
import { createReferenceBackend } from '../../src/devices/reference/backend.ts';
import type { Measures, PreviewBand } from '../../src/model/findings.ts';
import { measures } from '../../src/spectrum/measures.ts';
import { type Preview, previewSpectrum } from '../../src/spectrum/preview.ts';
import { BACKENDS } from './backends.ts';
import { matrixWith, SPECTRA, type SpectrumName } from './cases.ts';
import { sourceOf } from './device.ts';

const NAMES = Object.keys(SPECTRA) as SpectrumName[];

function known(spectrum: SpectrumName, rows: number, cols: number): { truth: Measures; source: RowSource } {
  const p = Math.min(rows, cols);
  const values = Float64Array.from({ length: p }, (_, i) => SPECTRA[spectrum](i, p));
  return {
    truth: measures(values, [rows, cols], 0),
    source: sourceOf(matrixWith(values, rows, cols, 17), rows, cols, spectrum),
  };
}

/** For each measure with a band, whether it lies in the band. */
function held(band: PreviewBand, truth: Measures): [string, boolean][] {
  const inside = ([low, high]: readonly [number, number], value: number) => low <= value && value <= high;
  return [
    ...ENERGY_LEVELS.map((level): [string, boolean] => [
      level,
      inside(band.energyRanks[level], truth.energyRanks[level]),
    ]),
    ['effectiveRank', inside(band.effectiveRank, truth.effectiveRank)],
    ['effectiveRankEnergy', inside(band.effectiveRankEnergy, truth.effectiveRankEnergy)],
    ['stableRank', inside(band.stableRank, truth.stableRank)],
  ];
}

describe('preview of a spectrum', () => {
  describe('on the reference backend, in at most half the space', function () {
    this.timeout(60_000);
    const counts = { held: 0, asked: 0 };
    for (const name of NAMES) {
      for (const [rows, cols] of [
        [180, 150],
        [140, 260],
      ] as const) {
        it(`of ${name} ${rows} x ${cols} has every estimate within its band`, async () => {
          const { truth, source } = known(name, rows, cols);
          for (let seed = 1; seed <= 4; seed++) {
            const preview = await previewSpectrum(createReferenceBackend(), source, { seed, probes: 8, steps: 8 });
            for (const [what, inside] of held(preview.band, preview.measures))
              assert.ok(inside, `${what}, seed ${seed}`);
            for (const [, inside] of held(preview.band, truth)) {
              counts.asked++;
              if (inside) counts.held++;
            }
          }
        });
      }
    }

    it('has bands that contain the truth in at least 95 % of the cases above', () => {
      assert.ok(counts.asked >= NAMES.length * 2 * 4 * 7);
      assert.ok(counts.held >= 0.95 * counts.asked, `${counts.held} of ${counts.asked}`);
    });
  });

  it('is deterministic for a seed', async () => {
    const { source } = known('weight', 150, 140);
    const run = (seed: number) => previewSpectrum(createReferenceBackend(), source, { seed, probes: 4, steps: 6 });
    assert.deepEqual(await run(2), await run(2));
    assert.notDeepEqual((await run(2)).measures, (await run(3)).measures);
  });

  it('of a small matrix is exact, with bands of zero width', async () => {
    const { truth, source } = known('weight', 60, 50);
    const { measures: found, band } = await previewSpectrum(createReferenceBackend(), source);
    assert.deepEqual(found.energyRanks, truth.energyRanks);
    assert.deepEqual(band.stableRank, [found.stableRank, found.stableRank]);
  });

  it('of a matrix that the device cannot hold is exact', async () => {
    const { truth, source } = known('weight', 2000, 20);
    const small = createReferenceBackend({ memoryLimit: 2000 * 20 * 7 });
    const { measures: found } = await previewSpectrum(small, source, { probes: 2, steps: 2 });
    assert.deepEqual(found.energyRanks, truth.energyRanks);
  });

  it('scales with the matrix to magnitudes that f32 cannot square', async () => {
    const rows = 150;
    const data = matrixWith(
      Float64Array.from({ length: rows }, (_, i) => SPECTRA.weight(i, rows)),
      rows,
      rows,
      17,
    );
    const run = (factor: number): Promise<Preview> => {
      const source = sourceOf(
        data.map((entry) => entry * factor),
        rows,
        rows,
      );
      return previewSpectrum(createReferenceBackend(), source, { probes: 4, steps: 6 });
    };
    const [usual, tiny] = [await run(1), await run(2 ** -110)];
    assert.deepEqual(tiny.measures.energyRanks, usual.measures.energyRanks);
    assert.ok(Math.abs(tiny.measures.spectralNorm / 2 ** -110 / usual.measures.spectralNorm - 1) < 1e-6);
  });

  it('reports NaN, stops when cancelled, and leaves nothing on the device', async () => {
    const { source } = known('weight', 150, 140);
    const backend = createReferenceBackend({ memoryLimit: 2 ** 20 });
    const broken: RowSource = {
      ...source,
      async read(row, out, signal) {
        await source.read(row, out, signal);
        out[5] = Number.NaN;
      },
    };
    const small = { probes: 4, steps: 6 };
    for (let i = 0; i < 10; i++) {
      await assert.rejects(previewSpectrum(backend, broken, small), { code: 'not-finite', subject: 'weight' });
      const controller = new AbortController();
      const options = {
        ...small,
        signal: controller.signal,
        progress: (share: number) => share > 0.5 && controller.abort(),
      };
      await assert.rejects(previewSpectrum(backend, source, options), { code: 'cancelled' });
    }
    await previewSpectrum(backend, source, small);
  });

  for (const { name: engine, open, workLimit } of BACKENDS.filter(({ workLimit: limit }) => limit > 1e9)) {
    describe(`on ${engine} with default options`, function () {
      this.timeout(120_000);
      let backend: Backend;
      before(async () => {
        backend = await open();
        assert.ok(workLimit > 1e9);
      });
      after(() => backend?.close());

      const coarse = { held: 0, asked: 0 };
      for (const name of NAMES) {
        it(`of ${name} 1200 x 1100 has every estimate in its band if it is coarse`, async () => {
          const { truth, source } = known(name, 1200, 1100);
          for (let seed = 1; seed <= 4; seed++) {
            const { measures: found, band } = await previewSpectrum(backend, source, { seed, coarse: true });
            for (const [what, inside] of held(band, found)) assert.ok(inside, `${what}, seed ${seed}`);
            for (const [, inside] of held(band, truth)) {
              coarse.asked++;
              if (inside) coarse.held++;
            }
          }
        });
      }

      it('has bands that contain the truth in at least 95 % of the coarse cases above', () => {
        assert.ok(coarse.asked >= NAMES.length * 4 * 7);
        assert.ok(coarse.held >= 0.95 * coarse.asked, `${coarse.held} of ${coarse.asked}`);
      });

      const counts = { held: 0, asked: 0 };
      for (const name of NAMES) {
        it(`of ${name} 1200 x 1100 has energy ranks within 2 % of p`, async () => {
          const { truth, source } = known(name, 1200, 1100);
          for (let seed = 1; seed <= 3; seed++) {
            const { measures: found, band } = await previewSpectrum(backend, source, { seed });
            for (const level of ENERGY_LEVELS) {
              const off = Math.abs(found.energyRanks[level] - truth.energyRanks[level]);
              assert.ok(off <= 0.02 * 1100, `${level}: off by ${off}, seed ${seed}`);
            }
            for (const [, inside] of held(band, truth)) {
              counts.asked++;
              if (inside) counts.held++;
            }
          }
        });
      }

      it('has bands that contain the truth in at least 95 % of the cases above', () => {
        assert.ok(counts.asked >= NAMES.length * 3 * 7);
        assert.ok(counts.held >= 0.95 * counts.asked, `${counts.held} of ${counts.asked}`);
      });
    });
  }
});
