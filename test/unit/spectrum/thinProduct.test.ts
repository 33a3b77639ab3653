import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { exactSpectrum } from '../../../src/spectrum/exact.ts';
import { thinProductRows } from '../../../src/spectrum/thinProduct.ts';
import { checkValues, multiply } from '../../numeric/checks.ts';
import { sourceOf } from '../../numeric/device.ts';

function gaussian(length: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length }, () => random.normal());
}

const valuesOf = async (
  up: Float32Array,
  down: Float32Array,
  [m, r, n]: readonly [number, number, number],
  scale = 1,
) => {
  const core = thinProductRows({
    name: 'x',
    outputs: m,
    inputs: n,
    ranks: [r],
    scale,
    load: async () => [{ up, down }],
  });
  return (await exactSpectrum(createReferenceBackend(), core)).singularValues;
};

describe('the product of thin factors', () => {
  for (const sizes of [
    [40, 5, 70],
    [3, 3, 90],
    [30, 1, 20],
    [9, 12, 6],
  ] as const)
    it(`of ${sizes.join(' x ')} has the singular values of the product without forming it`, async () => {
      const [m, r, n] = sizes;
      const [up, down] = [gaussian(m * r, 1), gaussian(r * n, 2)];
      const product = multiply(up, down, m, r, n);
      const { singularValues } = await exactSpectrum(
        createReferenceBackend(),
        sourceOf(
          Float32Array.from(product, (value) => 3 * value),
          m,
          n,
        ),
      );
      const values = await valuesOf(up, down, [m, r, n], 3);
      const least = Math.min(m, r, n);
      checkValues(values.subarray(0, least), singularValues.subarray(0, least), { rows: m, cols: n });
      for (const rest of values.subarray(least)) assert.ok(rest <= 2 ** -22 * values[0]!);
    });

  it('is accurate if large factors nearly cancel in a small product', async () => {
    // The large column of B meets the tiny row of A. In f32 the rounding of the large part, 1e8 * 2^-24, would cover
    // both values.
    const up = Float32Array.from([1e8, 0, 1e8, 1]);
    const down = Float32Array.from([1e-8, 0, 0, 2]);
    const truth = await exactSpectrum(createReferenceBackend(), sourceOf(Float32Array.from([1, 0, 1, 2]), 2, 2));
    checkValues(await valuesOf(up, down, [2, 2, 2]), truth.singularValues, { rows: 2, cols: 2 });
  });

  it('is formed by rows if its rank is too near its sizes for the factors to pay', () => {
    const of = (outputs: number, inputs: number, ranks: readonly number[]) => {
      const { rows, cols } = thinProductRows({ name: 'x', outputs, inputs, ranks, scale: 1, load: async () => [] });
      return [rows, cols];
    };
    assert.deepEqual(of(2, 1, [1_000_000]), [2, 1]);
    assert.deepEqual(of(4096, 4096, [64]), [64, 64]);
    assert.deepEqual(of(4096, 4096, [16, 16]), [256, 256]);
    assert.deepEqual(of(1280, 1280, [32, 32]), [1280, 1280]);
  });

  it('has the singular values of a Hadamard product', async () => {
    for (const [m, n, r1, r2] of [
      [40, 60, 2, 3],
      [12, 10, 4, 3],
    ] as const) {
      const factors = [
        { up: gaussian(m * r1, 1), down: gaussian(r1 * n, 2) },
        { up: gaussian(m * r2, 3), down: gaussian(r2 * n, 4) },
      ];
      const [one, other] = factors.map(({ up, down }, k) => multiply(up, down, m, k === 0 ? r1 : r2, n));
      const product = Float32Array.from(one!, (value, at) => 2 * value * other![at]!);
      const truth = (await exactSpectrum(createReferenceBackend(), sourceOf(product, m, n))).singularValues;
      const rows = thinProductRows({
        name: 'x',
        outputs: m,
        inputs: n,
        ranks: [r1, r2],
        scale: 2,
        load: async () => factors,
      });
      const found = (await exactSpectrum(createReferenceBackend(), rows)).singularValues;
      const least = Math.min(found.length, truth.length);
      checkValues(found.subarray(0, least), truth.subarray(0, least), { rows: m, cols: n });
    }
  });

  it('stops when it is cancelled', async () => {
    const stop = new AbortController();
    const core = thinProductRows({
      name: 'x',
      outputs: 9,
      inputs: 9,
      ranks: [2],
      scale: 1,
      async load() {
        stop.abort();
        return [{ up: gaussian(18, 1), down: gaussian(18, 2) }];
      },
    });
    await assert.rejects(core.read(0, new Float32Array(4), stop.signal), { code: 'cancelled' });
  });
});
