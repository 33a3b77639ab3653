import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { Backend, Matrix, RoutineOptions } from '../../src/devices/backend.ts';
import { type CpuBackend, createCpuBackend } from '../../src/devices/cpu/backend.ts';
import { createReferenceBackend } from '../../src/devices/reference/backend.ts';
import { createWebgpuBackend } from '../../src/devices/webgpu/backend.ts';
import { type Gpu, openGpu } from '../../src/devices/webgpu/device.ts';
import { Kernels } from '../../src/devices/webgpu/kernels.ts';
import { BACKENDS, useSoftwareGpu } from './backends.ts';
import { matrixOf, matrixWith } from './cases.ts';
import { C, checkOrthonormal, checkTriplets, checkValues, EPSILON, multiply, tolerance } from './checks.ts';
import { onDevice, taken, withMatrix } from './device.ts';

const KERNELS = new URL('../../src/devices/webgpu/kernels/', import.meta.url);
const source = (file: string) => readFile(new URL(`${file}.wgsl`, KERNELS), 'utf8');

const named = BACKENDS.some(({ name }) => name === 'webgpu');
const title = 'inside the webgpu backend';
if (!named) describe.skip(`${title} (RANKSCOPE_TEST_ENGINES does not name webgpu)`, () => {});
else {
  describe(title, function () {
    this.timeout(300_000);
    let processor: CpuBackend;
    let gpu: Gpu;
    let backend: Backend;

    before(async () => {
      useSoftwareGpu();
      processor = createCpuBackend(1);
      gpu = await openGpu();
      backend = open(gpu);
    });
    after(() => Promise.all([processor.close(), backend.close()]));

    const open = (on: Gpu, options: { bindingBytes?: number } = {}): Backend =>
      createWebgpuBackend(on, { source, processor, reason: '', ...options });

    async function truthOf(data: Float32Array, rows: number, cols: number): Promise<Float64Array> {
      const reference = createReferenceBackend();
      return await withMatrix(reference, data, rows, cols, (on) => reference.singularValues(on));
    }

    const valuesBy = (by: Backend, data: Float32Array, rows: number, cols: number) =>
      withMatrix(by, data, rows, cols, (on) => by.singularValues(on));

    it('decomposes matrices about as wide as the band', async () => {
      for (const [rows, cols] of [
        [1, 1],
        [2, 2],
        [3, 2],
        [31, 31],
        [32, 32],
        [33, 33],
        [34, 34],
        [65, 65],
        [35, 90],
        [97, 96],
      ] as const) {
        const one = { name: `weight ${rows} x ${cols}`, rows, cols, spectrum: 'weight' as const };
        const data = matrixOf(one);
        const truth = await truthOf(data, rows, cols);
        checkValues(await valuesBy(backend, data, rows, cols), truth, one);
        const rank = Math.ceil(Math.min(rows, cols) / 2);
        const factors = await withMatrix(backend, data, rows, cols, (on) => backend.svd(on, rank));
        checkValues(factors.values, truth.subarray(0, rank), one);
        checkOrthonormal(factors.left, rows, rank);
        checkOrthonormal(factors.right, cols, rank);
        checkTriplets(factors, data, one, 2);
      }
    });

    it('rejects an impossible rank', async () => {
      await withMatrix(backend, new Float32Array(12).fill(1), 3, 4, async (on) => {
        for (const rank of [0, 1.5, 4]) await assert.rejects(backend.svd(on, rank), { code: 'wrong-use' });
      });
    });

    it('computes columns whose squares underflow without disturbing others', async () => {
      const [rows, cols] = [80, 60];
      const data = matrixOf({ name: '', rows, cols, spectrum: 'weight' });
      for (let i = 0; i < rows; i++) for (let j = 0; j < 30; j++) data[i * cols + j]! *= 10 ** -(18 + (j % 10));
      const values = await valuesBy(backend, data, rows, cols);
      checkValues(values, await truthOf(data, rows, cols), { rows, cols });
    });

    it('computes an accurate QR of tiny and huge numbers', async () => {
      const [rows, cols] = [70, 40];
      for (const scale of [2 ** -90, 2 ** 90]) {
        const plain = matrixOf({ name: '', rows, cols, spectrum: 'powerLaw' });
        const on = await onDevice(
          backend,
          plain.map((x) => x * scale),
          rows,
          cols,
        );
        const r = await taken(backend, await backend.orthonormalize(on));
        const q = await taken(backend, on);
        checkOrthonormal(q, rows, cols);
        const product = multiply(q, r, rows, cols, cols);
        for (const [i, x] of product.entries())
          assert.ok(Math.abs(x / scale - plain[i]!) <= tolerance(rows, cols, 3), `entry ${i} at ${scale}`);
      }
    });

    it('computes the same over several bindings as in one', async () => {
      const [rows, cols, rank] = [200, 128, 40];
      // The band takes 61,440 bytes; the matrix 102,400, the reflectors of the chase 80,896.
      const narrow = open(gpu, { bindingBytes: 62_000 });
      const one = { name: '', rows, cols, spectrum: 'weight' as const };
      const data = matrixOf(one);
      const truth = await truthOf(data, rows, cols);
      checkValues(await valuesBy(narrow, data, rows, cols), truth, one);
      const factors = await withMatrix(narrow, data, rows, cols, (on) => narrow.svd(on, rank));
      checkValues(factors.values, truth.subarray(0, rank), one);
      checkOrthonormal(factors.left, rows, rank);
      checkOrthonormal(factors.right, cols, rank);
      checkTriplets(factors, data, one, 2);
      // All left vectors together are a matrix of 102,400 bytes, more than a binding.
      const all = withMatrix(narrow, data, rows, cols, (on) => narrow.svd(on, cols));
      await assert.rejects(all, { code: 'too-large', message: /102400 bytes, a binding has 62000/ });
    });

    it('splits a long product by rows and by depth', async () => {
      const submissions = countSubmissions(gpu.device);
      for (const [m, k, n] of [
        [2100, 1100, 64],
        [300, 2000, 300],
      ] as const) {
        const a = matrixWith(new Float64Array(Math.min(m, k)).fill(1), m, k, 1);
        const b = matrixWith(new Float64Array(Math.min(k, n)).fill(1), k, n, 2);
        const [left, right] = [await onDevice(backend, a, m, k), await onDevice(backend, b, k, n)];
        const out = await onDevice(backend, new Float32Array(m * n).fill(1), m, n);
        const before = submissions();
        await backend.multiply(out, left, right, { beta: 2 });
        assert.ok(submissions() - before > 1, 'submissions');
        const got = await taken(backend, out);
        for (const matrix of [left, right]) backend.free(matrix);
        const exact = multiply(a, b, m, k, n);
        // Rows and columns have norms of at most 1, and so have their products and all partial sums.
        const bound = C * EPSILON * Math.sqrt(k) * 3;
        for (const [i, x] of got.entries()) assert.ok(Math.abs(x - exact[i]! - 2) <= bound, `entry ${i}: ${x}`);
      }
    });

    type Routine = (backend: Backend, on: Matrix, options: RoutineOptions) => Promise<unknown>;
    const singularValues: Routine = (backend, on, options) => backend.singularValues(on, options);
    const svd: Routine = (backend, on, options) => backend.svd(on, 60, options);
    /** Shares of the progress at which bulges are chased and their reflectors applied. */
    const MIDDLES = [
      ['singular values', 0.85, singularValues],
      ['SVD', 0.67, svd],
    ] as const;

    it('reports a device lost in the middle of an SVD, then and in later calls', async () => {
      const own = await openGpu();
      const losing = open(own);
      const data = matrixOf({ name: '', rows: 150, cols: 150, spectrum: 'weight' });
      const on = await onDevice(losing, data, 150, 150);
      const progress = (now: number) => void (now >= 0.67 && own.device.destroy());
      await assert.rejects(svd(losing, on, { progress }), { code: 'engine', message: /the device was lost/ });
      await assert.rejects(losing.allocate(2, 2), { code: 'engine', message: /the device was lost/ });
    });

    for (const [name, share, routine] of MIDDLES) {
      it(`stops the ${name} when cancelled at ${share} and stays usable`, async () => {
        const data = matrixOf({ name: '', rows: 150, cols: 150, spectrum: 'weight' });
        const controller = new AbortController();
        const progress = (now: number) => void (now >= share && controller.abort());
        const options = { progress, signal: controller.signal };
        const run = withMatrix(backend, data, 150, 150, (on) => routine(backend, on, options));
        await assert.rejects(run, { code: 'cancelled' });
        const small = data.subarray(0, 20 * 150);
        checkValues(await valuesBy(backend, small, 20, 150), await truthOf(small, 20, 150), { rows: 20, cols: 150 });
      });
    }

    it('reports memory that runs out within a routine as too large a matrix, and stays usable', async () => {
      const data = matrixOf({ name: '', rows: 150, cols: 150, spectrum: 'weight' });
      const error = new GPUOutOfMemoryError('no memory');
      // No GPU of known size is available here, so the test dispatches the event that one would send.
      const progress = (now: number) =>
        void (now >= 0.5 && gpu.device.dispatchEvent(Object.assign(new Event('uncapturederror'), { error })));
      const run = withMatrix(backend, data, 150, 150, (on) => backend.singularValues(on, { progress }));
      await assert.rejects(run, { code: 'too-large', message: /ran out of memory/ });
      const small = data.subarray(0, 20 * 150);
      checkValues(await valuesBy(backend, small, 20, 150), await truthOf(small, 20, 150), { rows: 20, cols: 150 });
    });

    it('shows the line and column of a shader error', async () => {
      const kernels = new Kernels(gpu.device, async () => '@compute @workgroup_size(1)\nfn main() { let x = y; }\n');
      await assert.rejects(kernels.pipeline({ file: 'broken' }), (error: Error) => {
        assert.match(error.message, /broken.*does not compile\n2:21 .*\n {2}fn main\(\) \{ let x = y; \}\n {22}\^/);
        return true;
      });
    });
  });
}

function countSubmissions({ queue }: GPUDevice): () => number {
  let count = 0;
  const submit = queue.submit.bind(queue);
  queue.submit = (buffers) => {
    count++;
    return submit(buffers);
  };
  return () => count;
}
