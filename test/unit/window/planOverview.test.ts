import assert from 'node:assert/strict';
import type { Plan, PlannedMatrix } from '../../../src/model/plan/plan.ts';
import { overviewOf, planRows } from '../../../src/window/plan/planOverview.ts';

function planOf(matrices: readonly PlannedMatrix[]): Plan {
  return { format: 'rankscope.plan/1', matrices, totals: { error: 0.1 } } as unknown as Plan;
}
const matrix = (name: string, more: Partial<PlannedMatrix> = {}): PlannedMatrix => ({
  ...{ name, shape: [64, 32], rank: 8, parametersBefore: 2048, parametersAfter: 768, error: 0.1 },
  ...more,
});

describe('the overview of a plan', () => {
  it('counts the matrices instead of holding them, a tied embedding and head for both kinds', () => {
    const plan = planOf([
      matrix('a', { kinds: ['embedding', 'head'], rank: null }),
      matrix('b', { kinds: ['router'] }),
      matrix('c', { kinds: ['router'], shape: [100, 100] }),
      matrix('d'),
    ]);
    const { matrices, factorized, highestRank, kinds, totals } = overviewOf(plan);
    assert.deepEqual([matrices, factorized, highestRank], [4, 3, 50]);
    assert.deepEqual(kinds, { embedding: 1, head: 1, router: 2 });
    assert.equal(totals, plan.totals);
  });

  it('stays below a few kilobytes for 100,000 matrices, as do the rows on the page', () => {
    const plan = planOf(
      Array.from({ length: 100_000 }, (_, k) => matrix(`blocks.${Math.floor(k / 100)}.part_${k % 100}.weight`)),
    );
    assert.ok(JSON.stringify(overviewOf(plan)).length < 1000);
    const rows = planRows(plan, '', 60);
    assert.deepEqual([rows.matching, rows.matrices.length], [100_000, 60]);
    assert.ok(JSON.stringify(rows).length < 12_000);
    const some = planRows(plan, 'BLOCKS.7. part_1', 60);
    assert.equal(some.matching, 11);
    assert.ok(some.matrices.every(({ name }) => name.startsWith('blocks.7.part_1')));
    assert.deepEqual(planRows(null, '', 60), { matching: 0, matrices: [] });
  });
});
