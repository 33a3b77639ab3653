import assert from 'node:assert/strict';
import { resizedRank } from '../../../src/spectrum/resizeRank.ts';

describe('the ranks of a resized adapter', () => {
  const values = [8, 4, 2, 1];

  it('follow the ratio to the largest value, the Frobenius norm, or the sum of the values', () => {
    assert.equal(resizedRank(values, 'sv_ratio', 3), 2);
    assert.equal(resizedRank(values, 'sv_ratio', 5), 3);
    // 80 of 85 are 0.97 of the norm; 12 of 15 are 0.8 of the sum.
    assert.equal(resizedRank(values, 'sv_fro', 0.97), 2);
    assert.equal(resizedRank(values, 'sv_fro', 0.98), 3);
    assert.equal(resizedRank(values, 'sv_cumulative', 0.8), 2);
    assert.equal(resizedRank(values, 'sv_cumulative', 0.81), 3);
  });

  it('reach the last value, and are never zero', () => {
    for (const method of ['sv_fro', 'sv_cumulative'] as const) assert.equal(resizedRank(values, method, 1), 4);
    assert.equal(resizedRank(values, 'sv_ratio', 100), 4);
    for (const method of ['sv_ratio', 'sv_fro', 'sv_cumulative'] as const) {
      assert.equal(resizedRank([0, 0], method, 1), 1);
      assert.equal(resizedRank(values, method, method === 'sv_ratio' ? 1 : 0), 1);
    }
  });
});
