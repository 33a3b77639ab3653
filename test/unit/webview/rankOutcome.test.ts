import assert from 'node:assert/strict';
import fc from 'fast-check';
import { firstRank, rankOutcomes } from '../../../webview/inspector/rankOutcome.ts';

describe('rank outcome', () => {
  const outcomes = rankOutcomes([100, 50], 2, [3, 2, 1, ...Array<number>(47).fill(0)]);

  it('counts the parameters of two factors', () => {
    const { error, energy, ...rest } = outcomes.at(2);
    assert.ok(Math.abs(error - Math.sqrt(1 / 14)) < 1e-12);
    assert.ok(Math.abs(energy - 13 / 14) < 1e-12);
    assert.deepEqual(rest, {
      rank: 2,
      parametersBefore: 5000,
      parametersAfter: 300,
      bytesBefore: 10000,
      bytesAfter: 600,
      breakEven: 33,
      pays: true,
    });
  });

  it('never calls a rank above break-even a saving', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300 }), (m, n) => {
        const p = Math.min(m, n);
        const all = rankOutcomes([m, n], 4, Array<number>(p).fill(1));
        for (let rank = 1; rank <= p; rank++) {
          const { pays, breakEven, parametersAfter } = all.at(rank);
          assert.equal(pays, parametersAfter < m * n);
          if (rank > breakEven) assert.equal(pays, false);
        }
      }),
      { seed: 5, numRuns: 60 },
    );
  });

  it('has less error and more energy with every rank', () => {
    const values = Array.from({ length: 40 }, (_, i) => 1 / (i + 1));
    const all = rankOutcomes([40, 60], 4, values);
    for (let rank = 2; rank <= 40; rank++) {
      assert.ok(all.at(rank).error < all.at(rank - 1).error);
      assert.ok(all.at(rank).energy > all.at(rank - 1).energy);
    }
    assert.equal(all.at(40).error, 0);
  });

  it('loses nothing of a zero matrix', () => {
    const { error, energy } = rankOutcomes([4, 4], 4, [0, 0, 0, 0]).at(1);
    assert.deepEqual([error, energy], [0, 1]);
  });
});

describe('the initial rank of the slider', () => {
  it('is the rank for 95 % energy', () =>
    assert.equal(firstRank(rankOutcomes([100, 100], 4, [10, 3, 2, ...Array<number>(97).fill(0.01)])), 2));
  it('is the break-even rank if that one saves nothing', () =>
    assert.equal(firstRank(rankOutcomes([100, 100], 4, Array<number>(100).fill(1))), 50));
  it('is at least 1', () => assert.equal(firstRank(rankOutcomes([1, 5], 4, [2])), 1));
});
