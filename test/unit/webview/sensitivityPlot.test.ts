import assert from 'node:assert/strict';
import { makePlan } from '../../../src/model/plan/allocate.ts';
import type { PlanInput } from '../../../src/model/plan/planOptions.ts';
import { FIRST_REQUEST } from '../../../src/model/plan/planRequest.ts';
import { sensitivityCurves } from '../../../src/model/plan/sensitivityCurves.ts';
import { budgetAt, pointsOf, SIZES, sizeOf, summaryOf } from '../../../webview/plan/sensitivityPlot.ts';

const CHECKPOINT = { path: 'a', format: 'safetensors', parameters: 4 * 4096 + 5000, bytes: 4 * (4 * 4096 + 5000) };
const inputs = [0.2, 0.6, 1, 2].map(
  (exponent, k): PlanInput => ({
    name: `m${k}`,
    shape: [64, 64],
    bytesPerElement: 4,
    singularValues: Float64Array.from({ length: 64 }, (_, i) => (i + 1) ** -exponent),
  }),
);

describe('a point of the curves of error against size', () => {
  const plan = makePlan(CHECKPOINT, inputs, FIRST_REQUEST);
  const [curve] = sensitivityCurves(CHECKPOINT, inputs, plan);

  for (const { id } of SIZES)
    it(`stands for a budget whose plan has its size and its error, counted as ${id}`, () => {
      const best = pointsOf(curve!).filter((one) => one.curve === 'best');
      for (const { point } of best.slice(1, -1)) {
        const { totals, unmet } = makePlan(CHECKPOINT, inputs, { ...FIRST_REQUEST, budget: budgetAt(point, id) });
        assert.equal(unmet, undefined);
        assert.equal(sizeOf({ ...totals, value: totals.error }, id), sizeOf(point, id));
        assert.ok(Math.abs(totals.error - point.value) < 1e-9);
      }
    });

  it('is compared with the least error and with the same share everywhere at its size', () => {
    const { totals } = makePlan(CHECKPOINT, inputs, { ...FIRST_REQUEST, spread: 'uniform' });
    const percent = (share: number) => (100 * share).toFixed(1);
    const said = summaryOf(curve!);
    assert.ok(said.includes(`this plan loses ${percent(plan.totals.error)}`), said);
    const [, uniform] = /everywhere ([\d.]+) %/.exec(said) ?? [];
    // The line between two sizes of a curve that is not straight.
    assert.ok(Math.abs(Number(uniform) - 100 * totals.error) < 1, `${said} ${totals.error}`);
  });
});
