import assert from 'node:assert/strict';
import { extractedRanks, type KnownDifference } from '../../../../src/model/lora/extractedRanks.ts';

const difference = (values: number[], shape: readonly [number, number]): KnownDifference => ({
  shape,
  values: Float64Array.from(values),
  energy: values.reduce((sum, value) => sum + value * value, 0),
  aboveRounding: null,
});

describe('ranks of an extraction', () => {
  const all = [difference([8, 4, 2, 1], [4, 6]), difference([3, 3, 0], [3, 3]), difference([1e-3, 0], [2, 2])];

  it('meet a share of the energy or an error in each matrix, and are never 0', () => {
    // 64 / 85 = 0.753, 80 / 85 = 0.941, 84 / 85 = 0.988.
    assert.deepEqual(extractedRanks(all, { by: 'energy', value: 0.95 }, 'each'), [3, 2, 1]);
    assert.deepEqual(extractedRanks(all, { by: 'error', value: 0.3 }, 'each'), [2, 2, 1]);
    assert.deepEqual(extractedRanks(all, { by: 'rank', value: 3 }, 'each'), [3, 3, 2]);
  });

  it('spread one budget with the least error of all choices', () => {
    const cost = (ranks: readonly number[]) =>
      ranks.reduce((sum, rank, k) => sum + rank * (all[k]!.shape[0] + all[k]!.shape[1]), 0);
    const error = (ranks: readonly number[]) =>
      ranks.reduce((sum, rank, k) => sum + all[k]!.values.subarray(rank).reduce((rest, v) => rest + v * v, 0), 0);
    for (const value of [20, 26, 30, 36, 50, 80]) {
      const ranks = extractedRanks(all, { by: 'parameters', value }, 'all');
      assert.ok(cost(ranks) <= value);
      for (let a = 1; a <= 4; a++)
        for (let b = 1; b <= 3; b++) {
          // Greedy is optimal but for what one step costs.
          if (cost([a, b, 1]) > cost(ranks)) continue;
          assert.ok(error(ranks) <= error([a, b, 1]) + 1e-12, `${value}: ${ranks} ${[a, b]}`);
        }
    }
    const ranks = extractedRanks(all, { by: 'error', value: 0.2 }, 'all');
    assert.ok(Math.sqrt(error(ranks) / error([0, 0, 0])) <= 0.2);
  });
});
