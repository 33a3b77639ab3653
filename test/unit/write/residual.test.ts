import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RankscopeError } from '../../../src/base/errors.ts';
import { measureResidual } from '../../../src/write/residual.ts';
import { storedMatrix, tensor } from '../model/tensors.ts';

/** A matrix with these values, of `rows` x `cols` as stored. */
function matrixOf(values: Float32Array, rows: number, cols: number, transposed = false) {
  const read = async (start: number, out: Float32Array) => out.set(values.subarray(start, start + out.length));
  return storedMatrix(tensor('w.weight', [rows, cols], { read }), rows, cols, transposed);
}

describe('the measured error of written factors', () => {
  it('is ||W - B A|| / ||W||, also if W is stored transposed', async () => {
    const entry = fc.double({ min: -4, max: 4, noNaN: true });
    const sizes = fc.tuple(
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 3 }),
    );
    await fc.assert(
      fc.asyncProperty(
        sizes,
        fc.array(entry, { minLength: 100, maxLength: 100 }),
        fc.boolean(),
        async ([m, n, rank], numbers, transposed) => {
          const w = Float32Array.from(numbers.slice(0, m * n));
          const b = Float32Array.from(numbers.slice(30, 30 + m * rank));
          const a = Float32Array.from(numbers.slice(60, 60 + rank * n));
          let lost = 0;
          let whole = 0;
          const stored = new Float32Array(m * n);
          for (let i = 0; i < m; i++)
            for (let j = 0; j < n; j++) {
              let product = 0;
              for (let k = 0; k < rank; k++) product += b[i * rank + k]! * a[k * n + j]!;
              lost += (w[i * n + j]! - product) ** 2;
              whole += w[i * n + j]! ** 2;
              stored[transposed ? j * m + i : i * n + j] = w[i * n + j]!;
            }
          const [rows, cols] = transposed ? [n, m] : [m, n];
          const found = await measureResidual(matrixOf(stored, rows, cols, transposed), { rank, a, b });
          const expected = lost === 0 ? 0 : Math.sqrt(lost / whole);
          assert.ok(found === expected || Math.abs(found - expected) <= 1e-9 * expected, `${found} ${expected}`);
        },
      ),
      { seed: 1, numRuns: 200 },
    );
  });

  it('stops within 200 ms of processor time after a cancellation', async () => {
    const [size, rank] = [2048, 512];
    const controller = new AbortController();
    let cancelledAt: NodeJS.CpuUsage | undefined;
    setTimeout(() => {
      controller.abort();
      cancelledAt = process.cpuUsage();
    }, 50);
    const factors = { rank, a: new Float32Array(rank * size).fill(1), b: new Float32Array(size * rank).fill(1) };
    const { signal } = controller;
    await assert.rejects(
      measureResidual(matrixOf(new Float32Array(size * size), size, size), factors, signal),
      (error) => error instanceof RankscopeError && error.code === 'cancelled',
    );
    const { user, system } = process.cpuUsage(cancelledAt);
    assert.ok((user + system) / 1000 < 200, `${(user + system) / 1000} ms`);
  });
});
