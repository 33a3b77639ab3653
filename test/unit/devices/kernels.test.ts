import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import { compileKernels, instantiate, KERNEL_SETS, type Kernels } from '../../../src/devices/cpu/kernels.ts';
import { Heap } from '../../../src/devices/cpu/memory.ts';

const { uniform } = seededRandom(11);
/**
 * Error bound for a sum of k products of numbers in [-0.5, 0.5): at most k roundings by half an eps of at most k / 4.
 */
const bound = (k: number) => (k * k + 1) * 2 ** -26 + 2 ** -22;

for (const set of KERNEL_SETS) {
  describe(`kernels.${set}.wasm`, function () {
    this.timeout(60_000);
    let heap: Heap;
    let kernels: Kernels;
    let scratch: number;

    before(function () {
      let module: WebAssembly.Module;
      try {
        ({ module } = compileKernels([set]));
      } catch (error) {
        // The plain kernels run everywhere, the others only on some runtimes.
        if (set === 'simd') throw error;
        return this.skip();
      }
      heap = new Heap();
      kernels = instantiate(module, heap.memory);
      scratch = heap.allocate(kernels.gemmScratch(), 'scratch');
    });

    it('has exponentials within 2 ulp, and one of NaN that is NaN', () => {
      const count = 20_001;
      const at = heap.allocate(4 * count, 'scores');
      const state = heap.allocate(64, 'state');
      const scores = heap.floats(at, count);
      const exact = Float64Array.from({ length: count }, (_, i) => Math.fround((-87 * i) / (count - 1)));
      scores.set(exact);
      kernels.startQueries(1, state);
      kernels.weighScores(1, 1, count, 0, count, 2 ** 31 - 1, at, state, 0);
      for (const [i, x] of exact.entries()) {
        const right = Math.exp(x);
        const ulp = 2 ** (Math.floor(Math.log2(right)) - 23);
        assert.ok(Math.abs(scores[i]! - right) <= 2 * ulp, `e^${x} is ${right}, not ${scores[i]}`);
      }
      const sum = exact.reduce((total, x) => total + Math.exp(x), 0);
      const [largest, total] = new Float64Array(heap.memory.buffer, state, 2);
      assert.ok(largest === 0);
      assert.ok(Math.abs(total! / sum - 1) < 1e-5);
      scores.set([1, Number.NaN, 2]);
      kernels.startQueries(1, state);
      kernels.weighScores(1, 1, 3, 0, 3, 2 ** 31 - 1, at, state, 0);
      assert.ok(Number.isNaN(new Float64Array(heap.memory.buffer, state, 2)[1]));
    });

    function random(count: number): { at: number; values: Float32Array } {
      const at = heap.allocate(count * 4, 'test');
      return { at, values: heap.floats(at, count).map(() => uniform() - 0.5) };
    }

    /** Checks a product whose rows are `pad` longer than needed, and that it leaves the padding alone. */
    function check(m: number, n: number, k: number, flags: number, alpha: number, beta: number, old = 0.25): void {
      const [transposeA, transposeB, pad] = [flags & 1, (flags >> 1) & 1, 3];
      const [lda, ldb, ldc] = [(transposeA ? m : k) + pad, (transposeB ? k : n) + pad, n + pad];
      const a = random((transposeA ? k : m) * lda);
      const b = random((transposeB ? n : k) * ldb);
      const at = heap.allocate(m * ldc * 4, 'test');
      for (const block of [a, b]) heap.floats(block.at, block.values.length).set(block.values);
      const out = heap.floats(at, m * ldc).fill(old);
      kernels.gemm(m, n, k, alpha, a.at, lda, transposeA, b.at, ldb, transposeB, beta, at, ldc, scratch);
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let p = 0; p < k; p++) {
            const x = a.values[transposeA ? p * lda + i : i * lda + p]!;
            sum += x * b.values[transposeB ? j * ldb + p : p * ldb + j]!;
          }
          const right = alpha * sum + (beta === 0 ? 0 : beta * old);
          const off = Math.abs(out[i * ldc + j]! - right);
          assert.ok(
            off <= bound(k),
            `${m} x ${n} x ${k}, flags ${flags}, (${i}, ${j}): ${out[i * ldc + j]} for ${right}`,
          );
        }
        for (let j = n; j < ldc; j++)
          assert.ok(Object.is(out[i * ldc + j], Math.fround(old)), 'written beside the result');
      }
      for (const block of [a.at, b.at, at]) heap.release(block);
    }

    it('multiplies all odd shapes from 1 to 17, with each operand plain and transposed', () => {
      const odd = [1, 3, 5, 7, 9, 11, 13, 15, 17];
      for (const m of odd) {
        for (const n of odd) for (const k of odd) for (let flags = 0; flags < 4; flags++) check(m, n, k, flags, 1, 0);
      }
    });

    it('multiplies matrices that span several blocks', () => {
      for (const [m, n, k] of [
        [97, 31, 257],
        [48, 530, 40],
        [200, 48, 300],
        [191, 97, 5],
      ] as const) {
        for (let flags = 0; flags < 4; flags++) check(m, n, k, flags, 1, 0);
      }
    });

    it('sums thousands of equal products without piling up their errors', () => {
      const k = 8000;
      for (const n of [8, 64]) {
        const [a, b, c] = [6 * k, k * n, 6 * n].map((count) => ({ at: heap.allocate(count * 4, 'test'), count }));
        const value = Math.fround(1 / 90.4427);
        heap.floats(a!.at, a!.count).fill(value);
        heap.floats(b!.at, b!.count).fill(1);
        kernels.gemm(6, n, k, 1, a!.at, k, 0, b!.at, n, 0, 0, c!.at, n, scratch);
        for (const sum of heap.floats(c!.at, c!.count)) assert.ok(Math.abs(sum / (k * value) - 1) < 2e-6, `${sum}`);
        for (const { at } of [a!, b!, c!]) heap.release(at);
      }
    });

    it('scales the product and adds it to the old content', () => {
      for (const beta of [1, -0.5]) for (let flags = 0; flags < 4; flags++) check(23, 37, 19, flags, -2, beta);
    });

    it('overwrites NaN if beta is 0', () => {
      for (const [m, n, k] of [
        [6, 16, 8],
        [7, 17, 9],
        [100, 40, 300],
      ] as const) {
        check(m, n, k, 0, 1, 0, Number.NaN);
      }
    });

    it('transposes matrices of any shape', () => {
      for (const [rows, cols] of [
        [1, 9],
        [4, 4],
        [33, 70],
        [130, 5],
      ] as const) {
        const from = random(rows * cols);
        heap.floats(from.at, rows * cols).set(from.values);
        const out = heap.allocate(rows * cols * 4, 'test');
        kernels.transpose(rows, cols, from.at, cols, out, rows);
        const found = heap.floats(out, rows * cols);
        for (let i = 0; i < rows; i++) {
          for (let j = 0; j < cols; j++) assert.equal(found[j * rows + i], from.values[i * cols + j]);
        }
      }
    });

    it('finds the largest magnitude', () => {
      const { at, values } = random(1003);
      values[1001] = -7;
      heap.floats(at, 1003).set(values);
      assert.equal(kernels.largest(1003, at), 7);
      assert.ok(kernels.largest(1001, at) <= 0.5);
    });
  });
}
