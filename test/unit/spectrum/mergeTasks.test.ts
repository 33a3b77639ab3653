import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import { mergeTasks, type TaskMergeOptions } from '../../../src/spectrum/mergeTasks.ts';

describe('the merge of task tensors', () => {
  const options = (more: Partial<TaskMergeOptions>): TaskMergeOptions => ({
    merge: 'linear',
    weights: [1, 1],
    density: 1,
    majoritySign: 'total',
    random: seededRandom(1).uniform,
    ...more,
  });

  it('adds what is left of each after the small entries are pruned', () => {
    const merged = mergeTasks(
      [
        [1, -4, 3, 2],
        [5, 1, 0, -2],
      ],
      options({ merge: 'magnitude_prune', density: 0.5, weights: [1, 2] }),
    );
    assert.deepEqual([...merged], [10, -4, 3, -4]);
  });

  it('averages the entries that have the elected sign with TIES', () => {
    const tasks = [
      [3, 1, 2],
      [-1, -1, 4],
      [-1, 0, 6],
    ];
    assert.deepEqual([...mergeTasks(tasks, options({ merge: 'ties', weights: [1, 1, 1] }))], [3, 1, 4]);
    const byCount = mergeTasks(tasks, options({ merge: 'ties', weights: [1, 1, 1], majoritySign: 'frequency' }));
    assert.deepEqual([...byCount], [-1, 1, 4]);
  });

  it('keeps the expected value where DARE drops entries, with the same mask for the same seed', () => {
    const ones = new Float64Array(20_000).fill(1);
    const merge = () => mergeTasks([ones], options({ merge: 'dare_linear', weights: [1], density: 0.25 }));
    const merged = merge();
    assert.deepEqual(merged, merge());
    assert.deepEqual(new Set(merged), new Set([0, 4]));
    // Five standard deviations of the mean of 20,000 numbers that are 4 with probability 1/4: 5 sqrt(3 / 20000).
    const mean = merged.reduce((sum, value) => sum + value, 0) / merged.length;
    assert.ok(Math.abs(mean - 1) < 5 * Math.sqrt(3 / 20_000), String(mean));
  });
});
