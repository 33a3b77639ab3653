import assert from 'node:assert/strict';
import fc from 'fast-check';
import { breakEvenRank, factorParameters } from '../../../src/base/shape.ts';
import {
  loraParameters,
  loraScale,
  lostShare,
  rankForLostShare,
  tailEnergies,
} from '../../../src/model/plan/rankCost.ts';

const size = fc.integer({ min: 1, max: 20_000 });
const spectrum = fc
  .array(fc.double({ min: 0, max: 1e3, noNaN: true }), { minLength: 1, maxLength: 40 })
  .map((values) => values.sort((a, b) => b - a));

const squaredError = (values: readonly number[], rank: number) => lostShare(tailEnergies(values), rank);

describe('what a rank costs', () => {
  it('matches the published sizes of LoRA: 2 d r a layer, r = 8', () => {
    // Two adapted d x d matrices a layer would be 4 d r; the usual table counts one.
    const table = [
      [4096, 32, 2.1e6],
      [5120, 40, 3.3e6],
      [8192, 80, 10.5e6],
    ] as const;
    for (const [width, layers, published] of table)
      assert.equal(((loraParameters(width, width, 8) * layers) / 1e6).toFixed(1), (published / 1e6).toFixed(1));
  });

  it('is an eighth of 4096 x 4096 at rank 256, and a quarter at rank 512', () => {
    assert.equal(factorParameters(4096, 4096, 256), 2_097_152);
    assert.equal(factorParameters(4096, 4096, 512), 4_194_304);
    assert.equal(4096 ** 2 / factorParameters(4096, 4096, 256), 8);
  });

  it('exceeds a d x d matrix above rank d / 2', () => {
    for (const width of [2, 64, 4096]) assert.equal(breakEvenRank(width, width), width / 2);
  });

  it('breaks even at the last rank not larger than the matrix, for two factors and for three', () => {
    fc.assert(
      fc.property(size, size, fc.constantFrom<2 | 3>(2, 3), (m, n, factors) => {
        const rank = breakEvenRank(m, n, factors);
        assert.equal(rank, Math.floor((m * n) / (m + n + (factors - 2))));
        assert.ok(factorParameters(m, n, rank, factors) <= m * n);
        assert.ok(factorParameters(m, n, rank + 1, factors) > m * n);
      }),
      { seed: 1 },
    );
  });

  it('never saves anything for a single row or column', () => assert.equal(breakEvenRank(1, 1000), 0));

  it('scales a LoRA update by alpha / r, or alpha / sqrt r when rank-stabilized', () => {
    assert.equal(loraScale(32, 8), 4);
    assert.equal(loraScale(32, 16, true), 8);
  });
});

describe('what a rank keeps', () => {
  it('has a squared error and a kept share of the energy that add up to one', () => {
    fc.assert(
      fc.property(spectrum, fc.nat(50), (values, rank) => {
        const energy = (some: readonly number[]) => some.reduce((sum, value) => sum + value ** 2, 0);
        const kept = energy(values) > 0 ? energy(values.slice(0, rank)) / energy(values) : 1;
        assert.ok(Math.abs(kept + squaredError(values, rank) - 1) <= 1e-12);
      }),
      { seed: 1 },
    );
  });

  it('loses 16 / 97 of the energy of [3, 4 / 3] at rank 1', () => {
    assert.ok(Math.abs(squaredError([3, 4 / 3], 1) - 16 / 97) < 1e-15);
  });

  it('keeps the digits of a tail 10^12 times smaller', () => {
    const values = [1, 1e-12, 1e-12];
    assert.ok(Math.abs(Math.sqrt(squaredError(values, 1)) / (Math.SQRT2 * 1e-12) - 1) < 1e-12);
  });

  it('loses nothing of a zero matrix at any rank', () => {
    assert.equal(squaredError([0, 0], 0), 0);
    assert.equal(squaredError([0, 0], 1), 0);
  });

  it('takes the smallest rank that keeps a share of the error', () => {
    fc.assert(
      fc.property(spectrum, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
        const tail = tailEnergies(values);
        const rank = rankForLostShare(tail, share);
        assert.ok(tail[rank]! <= share * tail[0]!);
        if (rank > 0) assert.ok(tail[rank - 1]! > share * tail[0]!);
        assert.ok(lostShare(tail, rank) <= share * (1 + 1e-15));
      }),
      { seed: 1 },
    );
  });
});
