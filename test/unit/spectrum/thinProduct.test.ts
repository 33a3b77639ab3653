import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import { createReferenceBackend } from '../../../src/engine/reference/backend.ts';
import { exactSpectrum } from '../../../src/spectrum/exact.ts';
import { thinProductCore } from '../../../src/spectrum/thinProduct.ts';
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
  const core = thinProductCore({
    name: 'x',
    outputs: m,
    inputs: n,
    rank: r,
    scale,
    load: async () => ({ up, down }),
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
    it(`${sizes.join(' x ')}: has the values of the matrix that it is never made into`, async () => {
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

  it('is exact where the factors are large and their product is small: B and A look past each other', async () => {
    // B's large column meets A's tiny row. In f32 the rounding of the large part alone, 1e8 * 2^-24, would cover both values.
    const up = Float32Array.from([1e8, 0, 1e8, 1]);
    const down = Float32Array.from([1e-8, 0, 0, 2]);
    const truth = await exactSpectrum(createReferenceBackend(), sourceOf(Float32Array.from([1, 0, 1, 2]), 2, 2));
    checkValues(await valuesOf(up, down, [2, 2, 2]), truth.singularValues, { rows: 2, cols: 2 });
  });

  it('stops when it is told to', async () => {
    const stop = new AbortController();
    const core = thinProductCore({
      name: 'x',
      outputs: 9,
      inputs: 9,
      rank: 2,
      scale: 1,
      async load() {
        stop.abort();
        return { up: gaussian(18, 1), down: gaussian(18, 2) };
      },
    });
    await assert.rejects(core.read(0, new Float32Array(4), stop.signal), { code: 'cancelled' });
  });
});
