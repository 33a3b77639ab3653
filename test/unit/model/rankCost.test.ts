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
  it('the published sizes of LoRA: 2 d r a layer, r = 8', () => {
    // Two adapted d x d matrices a layer would be 4 d r; the usual table counts one.
    const table = [
      [4096, 32, 2.1e6],
      [5120, 40, 3.3e6],
      [8192, 80, 10.5e6],
    ] as const;
    for (const [width, layers, published] of table)
      assert.equal(((loraParameters(width, width, 8) * layers) / 1e6).toFixed(1), (published / 1e6).toFixed(1));
  });

  it('4096 x 4096: rank 256 is an eighth, rank 512 a quarter', () => {
    assert.equal(factorParameters(4096, 4096, 256), 2_097_152);
    assert.equal(factorParameters(4096, 4096, 512), 4_194_304);
    assert.equal(4096 ** 2 / factorParameters(4096, 4096, 256), 8);
  });

  it('for d x d, factors cost more than the matrix above d / 2', () => {
    for (const width of [2, 64, 4096]) assert.equal(breakEvenRank(width, width), width / 2);
  });

  it('break-even is the last rank that is not larger than the matrix, for two factors and for three', () => {
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

  it('a single row or column has no rank that pays', () => assert.equal(breakEvenRank(1, 1000), 0));

  it('the scale of a LoRA update is alpha / r, alpha / sqrt r when rank-stabilized', () => {
    assert.equal(loraScale(32, 8), 4);
    assert.equal(loraScale(32, 16, true), 8);
  });
});

describe('what a rank keeps', () => {
  it('the squared error and the share of the energy that is kept add up to one', () => {
    fc.assert(
      fc.property(spectrum, fc.nat(50), (values, rank) => {
        const energy = (some: readonly number[]) => some.reduce((sum, value) => sum + value ** 2, 0);
        const kept = energy(values) > 0 ? energy(values.slice(0, rank)) / energy(values) : 1;
        assert.ok(Math.abs(kept + squaredError(values, rank) - 1) <= 1e-12);
      }),
      { seed: 1 },
    );
  });

  it('rank 1 of [3, 4 / 3] loses 16 / 97 of the energy', () => {
    assert.ok(Math.abs(squaredError([3, 4 / 3], 1) - 16 / 97) < 1e-15);
  });

  it('a tail a million million times smaller keeps its digits', () => {
    const values = [1, 1e-12, 1e-12];
    assert.ok(Math.abs(Math.sqrt(squaredError(values, 1)) / (Math.SQRT2 * 1e-12) - 1) < 1e-12);
  });

  it('a zero matrix loses nothing at any rank', () => {
    assert.equal(squaredError([0, 0], 0), 0);
    assert.equal(squaredError([0, 0], 1), 0);
  });

  it('the rank for a share of the error is the smallest that keeps it', () => {
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
