import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '../../../src/base/random.ts';
import type { Backend, Matrix } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { ARGUMENT_BYTES } from '../../../src/devices/cpu/blas/sgemm.ts';
import { compileKernels, instantiate } from '../../../src/devices/cpu/kernels.ts';
import { Heap, SYNC } from '../../../src/devices/cpu/memory.ts';
import { block } from '../../../src/devices/cpu/routines/product.ts';
import { WorkerTeam } from '../../../src/devices/cpu/workerTeam.ts';
import { processorTime } from '../processorTime.ts';

/** Sides of square matrices whose values, and whose QR, take several times the delay before a cancellation. */
const [SIDE, QR_SIDE] = [1400, 2600];

async function filled(backend: Backend, rows: number, cols: number, seed = 5): Promise<Matrix> {
  const { uniform } = seededRandom(seed);
  const matrix = await backend.allocate(rows, cols);
  await backend.upload(matrix, 0, rows, (out) => {
    for (let i = 0; i < out.length; i++) out[i] = uniform() - 0.5;
  });
  return matrix;
}

describe('the cpu backend', function () {
  this.timeout(120_000);

  for (const threads of [1, 2, 3, 5]) {
    it(`computes the same values on ${threads} threads as on one, up to rounding`, async () => {
      const found: Float64Array[] = [];
      for (const backend of [createCpuBackend(1), createCpuBackend(threads)]) {
        found.push(await backend.singularValues(await filled(backend, 420, 300)));
        await backend.close();
      }
      const [one, many] = found as [Float64Array, Float64Array];
      const bound = 2 ** -23 * Math.sqrt(420) * one[0]!;
      for (let i = 0; i < 300; i++) assert.ok(Math.abs(one[i]! - many[i]!) <= bound);
    });
  }

  it('computes side by side in its lanes what it computes alone, and stops one without the others', async () => {
    const backend = createCpuBackend(2);
    const { count, at } = backend.lanes!;
    assert.equal(count, 2);
    const alone = createCpuBackend(1);
    const expected = await alone.svd(await filled(alone, 420, 300, 3), 20);
    const cancel = new AbortController();
    const [found, stopped] = await Promise.allSettled([
      at(0).svd(await filled(at(0), 420, 300, 3), 20),
      at(1).singularValues(await filled(at(1), SIDE, SIDE), {
        signal: cancel.signal,
        progress: () => cancel.abort(),
      }),
    ]);
    assert.deepEqual(found, { status: 'fulfilled', value: expected });
    assert.equal(stopped.status === 'rejected' && stopped.reason.code, 'cancelled');
    assert.equal(alone.lanes, undefined);
    await Promise.all([backend.close(), alone.close()]);
    await assert.rejects(
      at(0)
        .allocate(2, 2)
        .then((a) => at(0).singularValues(a)),
      { code: 'engine' },
    );
  });

  it('is accurate to f32 precision for magnitudes from 1e-37 to 1e37', async () => {
    const backend = createCpuBackend(2);
    const { uniform } = seededRandom(8);
    const data = Float32Array.from({ length: 50 * 40 }, () => uniform() - 0.5);
    const run = async (factor: number) => {
      const matrix = await backend.allocate(50, 40);
      await backend.upload(matrix, 0, 50, (out) => out.set(data.map((x) => x * factor)));
      const values = await backend.singularValues(matrix);
      backend.free(matrix);
      return values;
    };
    const plain = await run(1);
    for (const exponent of [-120, -60, 60, 120]) {
      const scaled = await run(2 ** exponent);
      for (const [i, value] of scaled.entries())
        assert.ok(Math.abs(value / 2 ** exponent - plain[i]!) <= 1e-5 * plain[0]!);
    }
    await backend.close();
  });

  it('returns NaN, and does not hang, if an entry is not finite', async () => {
    const backend = createCpuBackend(2);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const matrix = await filled(backend, 60, 60);
      await backend.upload(matrix, 30, 1, (out) => void out.fill(bad, 4, 5));
      assert.ok((await backend.singularValues(matrix)).every(Number.isNaN));
      await backend.upload(matrix, 0, 60, (out) => void out.fill(bad));
      await backend.svd(matrix, 5);
      backend.free(matrix);
    }
    await backend.close();
  });

  for (const routine of ['singularValues', 'svd', 'orthonormalize', 'triangularize'] as const) {
    it(`stops ${routine} within 200 ms of processor time after a cancellation, and stays usable`, async () => {
      const backend = createCpuBackend(2);
      // After the threads have started, as in every device that has been proven.
      await backend.singularValues(await filled(backend, 4, 4));
      const isQr = routine === 'orthonormalize' || routine === 'triangularize';
      const side = isQr ? QR_SIDE : SIDE;
      const matrix = await filled(backend, side, side);
      const controller = new AbortController();
      const options = { signal: controller.signal };
      const running: Promise<unknown> =
        routine === 'svd' ? backend.svd(matrix, side, options) : backend[routine](matrix, options);
      const ended = running.then(
        () => assert.fail('it was done before it could be cancelled'),
        (error: { code: string }) => assert.equal(error.code, 'cancelled'),
      );
      await delay(60);
      const spent = processorTime();
      controller.abort();
      await ended;
      // Two threads compute for the one that asks.
      assert.ok(spent() < 3 * 200, `${spent()} ms`);

      const small = await filled(backend, 40, 30);
      const values = await backend.singularValues(small);
      assert.ok(values.every((value) => value > 0));
      await backend.close();
    });
  }

  it('does not block the calling thread', async () => {
    const backend = createCpuBackend(2);
    let least = 1;
    // Time for which other programs hold this thread back counts as its own: the least of five is told apart from it.
    for (let run = 0; run < 5; run++) {
      const matrix = await filled(backend, 1000, 1000);
      const start = performance.eventLoopUtilization();
      await backend.singularValues(matrix);
      least = Math.min(least, performance.eventLoopUtilization(start).utilization);
      backend.free(matrix);
    }
    // 1 would mean that this thread computes.
    assert.ok(least < 0.3, `${least}`);
    await backend.close();
  });

  it('frees memory, also after failures and cancellations', async () => {
    const backend = createCpuBackend(1);
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 30; i++) {
      const matrix = await filled(backend, 600, 500, i);
      if (i % 3 === 0) await backend.svd(matrix, 40);
      else if (i % 3 === 1) backend.free(await backend.orthonormalize(matrix));
      else await assert.rejects(backend.singularValues(matrix, { signal: AbortSignal.abort() }));
      backend.free(matrix);
    }
    assert.ok(process.memoryUsage().rss - before < 150 * 2 ** 20);
    await backend.close();
  });

  it('rejects a matrix of another device, a freed matrix and shapes that do not match', async () => {
    const [backend, other] = [createCpuBackend(1), createCpuBackend(1)];
    const matrix = await filled(backend, 4, 3);
    await assert.rejects(other.singularValues(matrix), { code: 'wrong-use' });
    await assert.rejects(backend.multiply(matrix, matrix, matrix), { code: 'wrong-use' });
    await assert.rejects(backend.svd(matrix, 4), { code: 'wrong-use' });
    backend.free(matrix);
    await assert.rejects(backend.download(matrix), { code: 'wrong-use' });
    await Promise.all([backend.close(), other.close()]);
  });

  it('fails pending and later calls once it is closed', async () => {
    const backend = createCpuBackend(2);
    const matrix = await filled(backend, SIDE, SIDE);
    const pending = assert.rejects(backend.singularValues(matrix), { code: 'engine' });
    const queued = assert.rejects(backend.singularValues(matrix), { code: 'engine' });
    await delay(30);
    await backend.close();
    await Promise.all([pending, queued]);
    await assert.rejects(backend.singularValues(matrix), { code: 'engine' });
  });
});

describe('worker threads', () => {
  it('fail all calls after a fault, and leave none waiting', async () => {
    const heap = new Heap();
    const { module } = compileKernels();
    const bytes = instantiate(module, heap.memory).gemmScratch();
    const scratch = () => ({ panels: heap.allocate(bytes, ''), call: heap.allocate(ARGUMENT_BYTES, '') });
    const team = new WorkerTeam(module, heap.memory, SYNC, [scratch(), scratch()], undefined);
    // An address past the end of memory, which no caller of the backend can produce, traps.
    const beyond = block(heap.memory.buffer.byteLength, 500);
    const products = [{ m: 500, n: 500, k: 500, a: beyond, b: beyond, c: beyond }];
    const first = team.run({ routine: 'multiply', args: products }, 'multiply');
    const second = team.run({ routine: 'multiply', args: products }, 'multiply');
    await assert.rejects(first, { code: 'engine', message: /out of bounds/ });
    await assert.rejects(second, { code: 'engine' });
    await team.close();
  });
});
