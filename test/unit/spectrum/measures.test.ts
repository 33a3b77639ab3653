import assert from 'node:assert/strict';
import fc from 'fast-check';
import { seededRandom } from '../../../src/base/random.ts';
import { breakEvenRank } from '../../../src/base/shape.ts';
import { measures, noiseEdge, optimalThreshold } from '../../../src/spectrum/measures.ts';

const descending = fc
  .array(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 80 })
  .map((values) => Float64Array.from(values).sort().reverse());

function close(actual: number, expected: number, relative = 1e-12): void {
  assert.ok(Math.abs(actual - expected) <= relative * Math.abs(expected), `${actual} is not ${expected}`);
}

describe('rank measures', () => {
  it('of a flat spectrum all equal its length', () => {
    const found = measures(new Float64Array(100).fill(3), [100, 200], 0);
    close(found.effectiveRank, 100);
    close(found.effectiveRankEnergy, 100);
    close(found.stableRank, 100);
    close(found.participationRatio, 100);
    close(found.frobeniusNorm, 30);
    assert.equal(found.spectralNorm, 3);
    assert.equal(found.numericalRank, 100);
    assert.deepEqual(found.energyRanks, { '0.9': 90, '0.95': 95, '0.99': 99, '0.999': 100 });
    assert.equal(found.alpha, null);
  });

  it('of the values 2, 1, 1 match those computed by hand', () => {
    const found = measures([2, 1, 1], [3, 3], 0);
    // q = 1/2, 1/4, 1/4 by value, 2/3, 1/6, 1/6 by energy.
    close(found.effectiveRank, 2 ** 1.5);
    close(found.effectiveRankEnergy, 1.5 ** (2 / 3) * 6 ** (1 / 3));
    close(found.stableRank, 1.5);
    close(found.participationRatio, 2);
    close(found.frobeniusNorm, Math.sqrt(6));
    assert.deepEqual(found.energyRanks, { '0.9': 3, '0.95': 3, '0.99': 3, '0.999': 3 });
  });

  it('of a zero matrix are zero, never NaN', () => {
    const { breakEvenRank: breakEven, alpha, alphaDistance, energyRanks, ...others } = measures([0, 0], [2, 6], 0);
    assert.equal(breakEven, 1);
    assert.deepEqual([alpha, alphaDistance], [null, null]);
    assert.deepEqual(Object.values(energyRanks), [0, 0, 0, 0]);
    for (const [name, value] of Object.entries(others)) assert.equal(value, 0, name);
  });

  it('of a row, a column and a number are one', () => {
    for (const shape of [
      [1, 9],
      [9, 1],
      [1, 1],
    ] as const) {
      const found = measures([0.5], shape, 0.1);
      for (const rank of [found.effectiveRank, found.effectiveRankEnergy, found.stableRank, found.participationRatio]) {
        assert.equal(rank, 1);
      }
      assert.equal(found.numericalRank, 1);
      assert.deepEqual(Object.values(found.energyRanks), [1, 1, 1, 1]);
      assert.equal(found.breakEvenRank, 0);
    }
  });

  it('of an empty matrix are zero', () => {
    const found = measures([], [0, 5], 0);
    assert.equal(found.frobeniusNorm, 0);
    assert.equal(found.optimalThresholdRank, 0);
    assert.equal(found.breakEvenRank, 0);
  });

  it('are ordered as the Renyi entropies, between 1 and p', () => {
    fc.assert(
      fc.property(descending, (values) => {
        const found = measures(values, [values.length, values.length], 0);
        const chain = [
          1,
          found.stableRank,
          found.participationRatio,
          found.effectiveRankEnergy,
          found.effectiveRank,
          values.length,
        ];
        for (let i = 1; i < chain.length; i++) assert.ok(chain[i]! >= chain[i - 1]! * (1 - 1e-12), chain.join(' '));
      }),
    );
  });

  it('do not depend on the scale of the matrix, from 1e-150 to 1e150', () => {
    fc.assert(
      fc.property(descending, fc.integer({ min: -498, max: 498 }), (values, power) => {
        const factor = 2 ** power;
        const found = measures(values, [90, 80], 0);
        const scaled = measures(
          values.map((value) => value * factor),
          [90, 80],
          0,
        );
        const norms = { spectralNorm: found.spectralNorm * factor, frobeniusNorm: found.frobeniusNorm * factor };
        assert.deepEqual(scaled, { ...found, ...norms });
      }),
    );
  });

  it('include the smallest rank for each share of the energy', () => {
    fc.assert(
      fc.property(descending, (values) => {
        const total = values.reduce((sum, value) => sum + value ** 2, 0);
        const kept = (k: number) => values.subarray(0, k).reduce((sum, value) => sum + value ** 2, 0) / total;
        for (const [level, k] of Object.entries(measures(values, [80, 80], 0).energyRanks)) {
          assert.ok(kept(k) >= Number(level) - 1e-12);
          assert.ok(kept(k - 1) < Number(level) + 1e-12);
        }
      }),
    );
  });

  it('count values above max(m, n) eps sigma_1, with the eps of f32, as the numerical rank', () => {
    const edge = 1000 * 2 ** -23;
    assert.equal(measures([1, edge * 1.01, edge * 0.99, 0], [1000, 4], 0).numericalRank, 2);
  });

  it('count values above s (sqrt m + sqrt n) as the noise rank', () => {
    assert.equal(noiseEdge([400, 100], 0.5), 15);
    const found = measures([100, 16, 14, 1], [400, 100], 0.5);
    assert.equal(found.noiseRank, 2);
    assert.equal(found.noiseEdge, 15);
    assert.equal(found.noiseDeviation, 0.5);
  });

  it('do not count rounding as signal in a matrix without noise', () => {
    const values = Float64Array.from({ length: 10 }, (_, i) => (i < 3 ? 1 : 1e-9));
    const found = measures(values, [10, 10], 0);
    assert.equal(found.noiseRank, 3);
    assert.equal(found.optimalThresholdRank, 3);
  });

  it('use the published optimal threshold, which finds planted directions', () => {
    close(optimalThreshold([5, 5]), 2.86);
    close(optimalThreshold([100, 50]), 0.56 / 8 - 0.95 / 4 + 0.91 + 1.43);
    assert.equal(optimalThreshold([100, 50]), optimalThreshold([50, 100]));
    // The median of these values is 5, and 2.86 x 5 = 14.3.
    assert.equal(measures([20, 14.4, 14.2, 7, 6, 5, 4, 3, 2, 1, 0.5], [11, 11], 0).optimalThresholdRank, 2);
  });

  it('break even where the factors are as large as the matrix', () => {
    assert.equal(breakEvenRank(4096, 4096), 2048);
    assert.equal(breakEvenRank(11008, 4096), Math.floor((11008 * 4096) / (11008 + 4096)));
    assert.equal(breakEvenRank(4096, 4096, 3), 2047);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 5000 }), (m, n) => {
        const rank = breakEvenRank(m, n);
        assert.ok(rank * (m + n) <= m * n && (rank + 1) * (m + n) > m * n);
      }),
    );
  });

  it('recover a power law from its quantiles', () => {
    // lambda has the density ~ x^-3.5 above 1, and sigma = sqrt(lambda).
    const values = Float64Array.from({ length: 2000 }, (_, i) => ((i + 0.5) / 2000) ** (-1 / 2.5 / 2));
    const found = measures(values, [2000, 2000], 0);
    assert.ok(Math.abs(found.alpha! - 3.5) < 0.1, `alpha is ${found.alpha}`);
    assert.ok(found.alphaDistance! < 0.01, `distance is ${found.alphaDistance}`);
  });

  it('fit the exponent that a search over all tails finds', () => {
    const random = seededRandom(9);
    for (const count of [50, 51, 300]) {
      const values = Float64Array.from({ length: count }, () => Math.abs(random.normal()) + 0.1)
        .sort()
        .reverse();
      const found = measures(values, [count, count], 0);
      const right = everyTail(values.map((value) => (value / values[0]!) ** 2));
      close(found.alpha!, right.alpha, 1e-9);
      close(found.alphaDistance!, right.distance, 1e-9);
    }
    assert.equal(measures(new Float64Array(60).fill(1), [60, 60], 0).alpha, null);
  });
});

/** The fit as in the paper: ascending data, with each x_i as the start of the tail. */
function everyTail(descendingValues: Float64Array): { alpha: number; distance: number } {
  const x = descendingValues.toReversed();
  let best = { alpha: 0, distance: 2 };
  for (let start = 0; start < x.length - 1; start++) {
    const tail = x.subarray(start);
    const alpha = 1 + tail.length / tail.reduce((sum, value) => sum + Math.log(value / tail[0]!), 0);
    const distances = tail.map((value, i) => Math.abs(1 - (value / tail[0]!) ** (1 - alpha) - i / tail.length));
    const distance = Math.max(...distances);
    if (distance < best.distance) best = { alpha, distance };
  }
  return best;
}
