import assert from 'node:assert/strict';
import { seededRandom } from '../../../../src/base/random.ts';
import { createCpuBackend } from '../../../../src/devices/cpu/backend.ts';
import type { Blas } from '../../../../src/devices/cpu/blas/blas.ts';
import { testFolder } from '../../formats/folder.ts';
import { compileBlas, needCompiler } from './compiledBlas.ts';

describe('a BLAS with threads of its own', function () {
  this.timeout(30_000);
  before(function () {
    needCompiler(this);
  });
  const folder = testFolder();

  it('is never called from two threads at once, in any routine', async () => {
    // A second caller gets no product, and a pause lets it come.
    const crowded = 'usleep(300); if (inside > 1) { usleep(300); __sync_fetch_and_sub(&inside, 1); return; }';
    const path = compileBlas(folder.path(), 'libcrowded.so', { AT_CALL: crowded });
    const blas: Blas = { path, symbol: 'sgemm_', name: 'crowded', source: '', threading: 'library' };
    const [rows, cols] = [420, 300];
    const { uniform } = seededRandom(3);
    const entries = Float32Array.from({ length: rows * cols }, () => uniform() - 0.5);
    const results = async (options: { blas?: Blas }) => {
      const backend = createCpuBackend(2, options);
      const load = async () => {
        const matrix = await backend.allocate(rows, cols);
        await backend.upload(matrix, 0, rows, (out) => out.set(entries));
        return matrix;
      };
      const found = [
        await backend.singularValues(await load()),
        (await backend.svd(await load(), 20)).values,
        await backend.download(await backend.triangularize(await load())),
        await backend.download(await backend.orthonormalize(await load())),
      ];
      await backend.close();
      return found;
    };
    const right = await results({});
    for (const [i, found] of (await results({ blas })).entries())
      for (const [j, value] of found.entries())
        assert.ok(Math.abs(value - right[i]![j]!) < 1e-3, `${i} ${j}: ${value}`);
  });
});
