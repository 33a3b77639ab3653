import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import { compareEntries } from '../../../src/spectrum/compareEntries.ts';
import { CountSketches, estimatedCosine } from '../../../src/spectrum/countSketch.ts';
import { transposeOf } from '../../../src/spectrum/transpose.ts';
import { sourceOf } from '../../numeric/device.ts';

const [M, N] = [70, 30];

function gaussian(seed: number): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: M * N }, random.normal);
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, at) => sum + value * b[at]!, 0);

describe('two matrices, entry by entry', () => {
  const [a, noise] = [gaussian(1), gaussian(2)];
  const b = a.map((value, at) => 3 * value + noise[at]!);
  const plain = (values: Float32Array) => ({ source: sourceOf(values, M, N), transposed: false });
  const turned = (values: Float32Array) => ({ source: sourceOf(transposeOf(values, N), N, M), transposed: true });

  for (const [name, one, other] of [
    ['both as they are', plain(a), plain(b)],
    ['one as its transpose', plain(a), turned(b)],
    ['the other as its transpose', turned(a), plain(b)],
    ['both as their transposes', turned(a), turned(b)],
  ] as const)
    for (const rows of [M, 41])
      it(`have the sums of their definitions, ${name}, over ${rows} rows`, async () => {
        const [x, y] = [a.subarray(0, rows * N), b.subarray(0, rows * N)];
        const sums = await compareEntries(one, other, rows, undefined);
        const difference = x.map((value, at) => value - y[at]!);
        for (const [found, right] of [
          [sums.product, dot(x, y)],
          [sums.base, dot(x, x)],
          [sums.other, dot(y, y)],
          [sums.difference, dot(difference, difference)],
        ] as const)
          assert.ok(Math.abs(found - right) < 1e-5 * right, `${found}, not ${right}`);
      });

  it('have sketches whose cosine is about theirs, whichever way they are stored', async () => {
    const sketches = new CountSketches([M, N]);
    const of = ({ source, transposed }: ReturnType<typeof plain>) => sketches.of(source, transposed, undefined);
    const first = await of(plain(a));
    const again = await of(turned(a));
    assert.ok(Math.abs(first.energy - dot(a, a)) < 1e-6 * first.energy);
    assert.ok(first.values.every((value, k) => Math.abs(value - again.values[k]!) < 1e-4));
    const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
    assert.ok(Math.abs(estimatedCosine(first, await of(turned(b))) - cosine) < 0.15);
    assert.ok(Math.abs(estimatedCosine(first, await of(plain(noise))) - 0) < 0.2);
  });
});
