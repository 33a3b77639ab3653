import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import type { RowSource } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { exactSpectrum } from '../../../src/spectrum/exact.ts';
import { previewSpectrum } from '../../../src/spectrum/preview.ts';

/** 12 MiB instead of the 4 GiB that 32 bits address. */
const PAGES = 192;

describe('the cpu backend with a matrix larger than its memory', function () {
  this.timeout(60_000);
  const backend = createCpuBackend(2, { maximumPages: PAGES });
  const roomy = createCpuBackend(2);
  after(() => Promise.all([backend.close(), roomy.close()]));

  const numbers = Float32Array.from({ length: 3_600_000 }, seededRandom(1).normal);
  /** Normal numbers, stored as F32. */
  function source(rows: number, cols: number): RowSource {
    const read = async (row: number, out: Float32Array) => {
      for (let i = 0; i < out.length; i++) out[i] = numbers[(row * cols + i) % numbers.length]!;
    };
    const stored = (row: number, out: Uint8Array) =>
      read(row, new Float32Array(out.buffer, out.byteOffset, out.length / 4));
    return { name: 'weights', rows, cols, read, stored: { encoding: 'F32', read: stored } };
  }

  for (const [rows, cols] of [
    [9000, 400],
    [400, 9000],
  ] as const) {
    it(`streams a ${rows} x ${cols} matrix through it in panels`, async () => {
      assert.ok(4 * rows * cols > 64 * 1024 * PAGES);
      const { singularValues, entries } = await exactSpectrum(backend, source(rows, cols));
      assert.equal(entries.count, rows * cols);
      const { singularValues: whole } = await exactSpectrum(roomy, source(rows, cols));
      const bound = 2 ** -23 * Math.sqrt(Math.max(rows, cols)) * whole[0]!;
      for (const [i, value] of singularValues.entries()) assert.ok(Math.abs(value - whole[i]!) <= bound);
    });
  }

  it('rejects a square matrix with the numbers, also for a preview, and stays usable', async () => {
    const refusal = { code: 'too-large', message: /2000 x 2000 matrix: needs 16 MB; .* of the 12.5 MB/ };
    await assert.rejects(exactSpectrum(backend, source(2000, 2000)), refusal);
    await assert.rejects(previewSpectrum(backend, source(2000, 2000)), refusal);
    const { singularValues } = await exactSpectrum(backend, source(50, 40));
    assert.equal(singularValues.length, 40);
  });

  it('rejects a matrix that leaves no room for workspace, and frees it', async () => {
    await assert.rejects(exactSpectrum(backend, source(1600, 1600)), {
      code: 'too-large',
      message: /of the 12.5 MB/,
    });
    const matrix = await backend.allocate(1600, 1600);
    backend.free(matrix);
  });
});
