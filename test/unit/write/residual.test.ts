import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RankscopeError } from '../../../src/base/errors.ts';
import { anatomy } from '../../../src/model/names/anatomy.ts';
import { measureResidual } from '../../../src/write/residual.ts';
import { tensor } from '../model/tensors.ts';

const matrixOf = (name: string, rows: number, cols: number) => anatomy([tensor(name, [rows, cols])]).matrices[0]!;
/** What `measureResidual` reads from: the matrix's values, from anywhere. */
const source = (values: Float32Array) => ({
  read: async (_: unknown, start: number, out: Float32Array) => out.set(values.subarray(start, start + out.length)),
});

describe('the measured error of written factors', () => {
  it('is ||W - B A|| / ||W||, also where W is stored transposed', async () => {
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
          const matrix = { ...matrixOf('w.weight', rows, cols), transposed, shape: [m, n] as const };
          const found = await measureResidual(source(stored), matrix, { rank, a, b });
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
      measureResidual(source(new Float32Array(size * size)), matrixOf('w.weight', size, size), factors, signal),
      (error) => error instanceof RankscopeError && error.code === 'cancelled',
    );
    const { user, system } = process.cpuUsage(cancelledAt);
    assert.ok((user + system) / 1000 < 200, `${(user + system) / 1000} ms`);
  });
});
