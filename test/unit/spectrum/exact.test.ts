import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import type { Backend, RowSource } from '../../../src/devices/backend.ts';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { exactSpectrum, sizeOnDevice } from '../../../src/spectrum/exact.ts';
import { checkValues } from '../../numeric/checks.ts';
import { sourceOf, withMatrix } from '../../numeric/device.ts';

function gaussian(count: number, scale = 1): Float32Array {
  const random = seededRandom(5);
  return Float32Array.from({ length: count }, () => scale * random.normal());
}

/** A backend that records the largest matrix allocated and the matrices still held. */
function watched(backend: Backend): { backend: Backend; largest(): number; held(): number } {
  const sizes = new Map<object, number>();
  let largest = 0;
  const note = <M extends { rows: number; cols: number }>(matrix: M): M => {
    sizes.set(matrix, matrix.rows * matrix.cols);
    largest = Math.max(largest, matrix.rows * matrix.cols);
    return matrix;
  };
  return {
    backend: {
      ...backend,
      allocate: async (rows, cols) => note(await backend.allocate(rows, cols)),
      triangularize: async (a, options) => note(await backend.triangularize(a, options)),
      free(matrix) {
        sizes.delete(matrix);
        backend.free(matrix);
      },
    },
    largest: () => largest,
    held: () => sizes.size,
  };
}

async function whole(data: Float32Array, rows: number, cols: number): Promise<Float64Array> {
  const backend = createReferenceBackend();
  return withMatrix(backend, data, rows, cols, (on) => backend.singularValues(on));
}

describe('exact spectrum', () => {
  for (const [rows, cols] of [
    [1, 1],
    [30, 20],
    [20, 30],
    [90, 20],
    [20, 90],
    [1, 50],
    [50, 1],
  ] as const) {
    it(`of ${rows} x ${cols} is that of the matrix, and leaves nothing on the device`, async () => {
      const data = gaussian(rows * cols);
      const { backend, held } = watched(createReferenceBackend());
      const { singularValues, entries } = await exactSpectrum(backend, sourceOf(data, rows, cols));
      checkValues(singularValues, await whole(data, rows, cols), { rows, cols });
      assert.equal(held(), 0);
      assert.equal(entries.count, rows * cols);
    });
  }

  it('of a matrix with no rows is empty', async () => {
    const { singularValues } = await exactSpectrum(createReferenceBackend(), sourceOf(new Float32Array(0), 0, 7));
    assert.equal(singularValues.length, 0);
  });

  it('of a tall matrix holds at most a stack of panels', async () => {
    const [rows, cols] = [700_000, 8];
    const { backend, largest } = watched(createReferenceBackend());
    const data = gaussian(rows * cols);
    const { singularValues, entries } = await exactSpectrum(backend, sourceOf(data, rows, cols));
    assert.ok(largest() <= 2 ** 22, `${largest()} entries at once`);
    const energy = singularValues.reduce((sum, value) => sum + value ** 2, 0);
    assert.ok(Math.abs(Math.sqrt(energy) / entries.frobeniusNorm - 1) < 1e-6);
    // The values of a Gaussian matrix lie between sqrt m - sqrt n and sqrt m + sqrt n.
    assert.ok(singularValues[0]! < Math.sqrt(rows) + 2 * Math.sqrt(cols));
    assert.ok(singularValues.at(-1)! > Math.sqrt(rows) - 2 * Math.sqrt(cols));
  }).timeout(60_000);

  it('puts no more on the device at a time than it says', async () => {
    for (const [rows, cols] of [
      [30, 20],
      [20, 90],
      [90, 20],
      [5_000_000, 1],
      [600_000, 10],
    ] as const) {
      const { backend, largest } = watched(createReferenceBackend());
      await exactSpectrum(backend, sourceOf(new Float32Array(rows * cols), rows, cols));
      const held = sizeOnDevice({ rows, cols });
      assert.equal(largest(), held.rows * held.cols);
    }
    assert.deepEqual(sizeOnDevice({ rows: 32000, cols: 2048 }), { rows: 3 * 2048, cols: 2048 });
  }).timeout(60_000);

  it('of a wide matrix that the device cannot hold is computed from panels of columns', async () => {
    const [rows, cols] = [40, 2000];
    const data = gaussian(rows * cols);
    const small = createReferenceBackend({ memoryLimit: 100 * 1024 });
    await assert.rejects(small.allocate(rows, cols), { code: 'too-large' });
    const { backend, held } = watched(small);
    const { singularValues, entries } = await exactSpectrum(backend, sourceOf(data, rows, cols));
    checkValues(singularValues, await whole(data, rows, cols), { rows, cols });
    assert.equal(entries.count, rows * cols);
    assert.equal(held(), 0);
  });

  it('of a matrix that cannot fit in any way is rejected with the numbers', async () => {
    const small = createReferenceBackend({ memoryLimit: 1000 });
    for (const [rows, cols] of [
      [40, 40],
      [40, 400],
      [400, 40],
    ] as const) {
      const source = sourceOf(gaussian(rows * cols), rows, cols);
      await assert.rejects(exactSpectrum(small, source), { code: 'too-large', message: /bytes/ });
    }
  });

  for (const scale of [1e-38, 1e-30, 1e-12, 1e12, 1e30, 1e37]) {
    it(`is accurate at a magnitude of ${scale}`, async () => {
      for (const [rows, cols] of [
        [12, 10],
        [70, 10],
      ] as const) {
        const data = gaussian(rows * cols, scale);
        const { singularValues, entries } = await exactSpectrum(inSinglePrecision(), sourceOf(data, rows, cols));
        checkValues(singularValues, await whole(data, rows, cols), { rows, cols });
        const norm = Math.hypot(...data);
        assert.ok(Math.abs(entries.frobeniusNorm - norm) <= 1e-12 * norm);
      }
    });
  }

  it('is accurate if large entries follow small ones', async () => {
    const data = Float32Array.from(gaussian(70 * 10), (entry, i) => entry * (i < 350 ? 1e-35 : 1e35));
    const { singularValues } = await exactSpectrum(inSinglePrecision(), sourceOf(data, 70, 10));
    checkValues(singularValues, await whole(data, 70, 10), { rows: 70, cols: 10 });
  });

  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    it(`rejects ${bad} with the name of the tensor and the position of the entry`, async () => {
      const data = gaussian(60 * 7);
      data[41 * 7 + 3] = bad;
      await assert.rejects(exactSpectrum(createReferenceBackend(), sourceOf(data, 60, 7, 'model.norm')), {
        code: 'not-finite',
        subject: 'model.norm',
        found: `entry [41, 3] is ${bad}`,
      });
    });
  }

  it('stops reading when it is cancelled', async () => {
    const controller = new AbortController();
    const source: RowSource = {
      ...sourceOf(gaussian(100), 10, 10),
      async read(_row, out) {
        out.fill(1);
        controller.abort();
      },
    };
    const { signal } = controller;
    await assert.rejects(exactSpectrum(createReferenceBackend(), source, { signal }), { code: 'cancelled' });
  });

  it('reports increasing progress', async () => {
    const shares: number[] = [];
    const source = sourceOf(gaussian(300 * 20), 300, 20);
    await exactSpectrum(createReferenceBackend(), source, { progress: (share) => shares.push(share) });
    assert.ok(shares.length > 0);
    for (const [i, share] of shares.entries()) assert.ok(share >= (shares[i - 1] ?? 0) && share <= 1);
  });
});

describe('entry statistics', () => {
  it('estimate the noise deviation of the bulk despite outliers', async () => {
    const data = gaussian(1000 * 700, 0.02);
    for (let i = 0; i < data.length; i += 100) data[i] = 5;
    const backend = createReferenceBackend();
    const narrow = Object.assign({}, backend, { singularValues: async () => new Float64Array(700) });
    const { entries } = await exactSpectrum(narrow, sourceOf(data, 1000, 700));
    assert.ok(Math.abs(entries.noiseDeviation / 0.02 - 1) < 0.02, `${entries.noiseDeviation}`);
    assert.equal(entries.maximum, 5);
  });

  it('sample entries independently of columns', async () => {
    // One in four of 2^20 entries is sampled: a fixed offset would see only every fourth column.
    const data = gaussian(2 ** 20).map((entry, i) => (i % 4 === 0 ? 0 : entry));
    const backend = Object.assign({}, createReferenceBackend(), { singularValues: async () => new Float64Array(1024) });
    const { entries } = await exactSpectrum(backend, sourceOf(data, 1024, 1024));
    // With a quarter of zeros, the median of |w| is where the distribution of |w| for normal w reaches one third:
    // 0.4307.
    assert.ok(Math.abs((entries.noiseDeviation * 0.6745) / 0.4307 - 1) < 0.02, `${entries.noiseDeviation}`);
  });
});

/**
 * The reference on entries whose squares are rounded to f32, so that overflow and underflow show as on a real device.
 */
function inSinglePrecision(): Backend {
  const backend = createReferenceBackend();
  const guard = async (matrix: { rows: number; cols: number }) => {
    const data = await backend.download(matrix);
    let largest = 0;
    for (const entry of data) largest = Math.max(largest, Math.abs(entry));
    const square = Math.fround(largest * largest);
    assert.ok(square === 0 ? largest === 0 : square > 2 ** -126 && Number.isFinite(square * data.length), `${largest}`);
  };
  return {
    ...backend,
    async singularValues(a, options) {
      await guard(a);
      return backend.singularValues(a, options);
    },
    async triangularize(a, options) {
      await guard(a);
      return backend.triangularize(a, options);
    },
  };
}
