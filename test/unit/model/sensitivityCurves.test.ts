import assert from 'node:assert/strict';
import { makePlan } from '../../../src/model/plan/allocate.ts';
import type { Plan, PlanRequest } from '../../../src/model/plan/plan.ts';
import type { PlanInput } from '../../../src/model/plan/planOptions.ts';
import { PLAN_DEFAULTS } from '../../../src/model/plan/planRequest.ts';
import type { Sensitivities } from '../../../src/model/plan/sensitivities.ts';
import { sensitivityCurves } from '../../../src/model/plan/sensitivityCurves.ts';

const CHECKPOINT = { path: 'a', format: 'safetensors', parameters: 4096 * 4, bytes: 4 * 4096 * 4 };
const inputs = [0.2, 0.6, 1, 2].map(
  (exponent, k): PlanInput => ({
    name: `m${k}`,
    shape: [64, 64],
    bytesPerElement: 4,
    singularValues: Float64Array.from({ length: 64 }, (_, i) => (i + 1) ** -exponent),
  }),
);
const request: PlanRequest = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.6 } };

describe('the curves of error against size', () => {
  it('have the least error of each size, as a plan of that size has, and the plan on it', () => {
    const plan = makePlan(CHECKPOINT, inputs, request);
    const [weights, ...others] = sensitivityCurves(CHECKPOINT, inputs, plan);
    assert.equal(others.length, 0);
    assert.equal(weights!.plan.value, plan.totals.error);
    assert.equal(weights!.plan.parametersAfter, plan.totals.parametersAfter);
    assert.ok(weights!.best.length > 30, `${weights!.best.length}`);
    assert.equal(weights!.best[0]!.keptShare, 1);
    assert.equal(weights!.best[0]!.value, 0);
    for (const { keptShare, parametersAfter, value } of weights!.best) {
      const { totals } = makePlan(CHECKPOINT, inputs, { ...request, budget: { kind: 'keep', value: keptShare } });
      assert.equal(totals.parametersAfter, parametersAfter);
      assert.ok(Math.abs(totals.error - value) < 1e-12);
    }
    for (let k = 1; k < weights!.best.length; k++) assert.ok(weights!.best[k]!.value >= weights!.best[k - 1]!.value);
  });

  it('show what the same share everywhere costs', () => {
    const [weights] = sensitivityCurves(CHECKPOINT, inputs, makePlan(CHECKPOINT, inputs, request));
    for (const { parametersAfter, value } of weights!.uniform) {
      const budget = { kind: 'keep', value: parametersAfter / 16_384 } as const;
      const { totals } = makePlan(CHECKPOINT, inputs, { ...request, spread: 'uniform', budget });
      assert.ok(Math.abs(totals.error - value) < 1e-12);
    }
  });

  it('keep to exclusions, ranks by hand and floors', () => {
    const asked = { ...request, exclude: ['m0'], overrides: { m1: 5 }, floor: 0.5 };
    const [weights] = sensitivityCurves(CHECKPOINT, inputs, makePlan(CHECKPOINT, inputs, asked));
    for (const { parametersBefore, parametersAfter } of weights!.best) {
      assert.equal(parametersBefore, 3 * 4096);
      assert.ok(parametersAfter >= (5 + 2 * 16) * 128);
      assert.ok(parametersAfter <= 5 * 128 + 2 * 4096);
    }
  });

  it('show what a text said, where it was asked: the error of W X, and the sum of divergences', () => {
    const sensitivities: Sensitivities = {
      inputs: { kind: 'full', text: 'wiki', tokens: 100 },
      divergences: { text: 'wiki', tokens: 100, measured: 4, filledIn: 0, seconds: 1 },
      matrices: inputs.map(({ name }, k) => ({
        name,
        tokens: 100,
        singularValues: Array.from({ length: 32 }, (_, i) => 0.5 ** (i / (k + 1))),
        rest: 0,
        divergence: { value: 0.1 * (k + 1), rank: 3, tail: 0.5, from: 'matrix' },
      })),
    };
    const plan: Plan = { ...makePlan(CHECKPOINT, inputs, request), sensitivities };
    const curves = sensitivityCurves(CHECKPOINT, inputs, plan);
    assert.deepEqual(
      curves.map(({ measure }) => measure),
      ['weights', 'activations', 'loss'],
    );
    const lost = (k: number, from: number) => {
      let sum = 0;
      for (let i = from; i < 32; i++) sum += 0.25 ** (i / (k + 1));
      return sum;
    };
    const ranks = plan.matrices.map(({ rank }) => rank);
    const loss = ranks.reduce<number>(
      (sum, rank, k) => sum + (rank === null ? 0 : ((0.1 * (k + 1)) / 0.5) * lost(k, rank)),
      0,
    );
    assert.ok(Math.abs(curves[2]!.plan.value - loss) < 1e-12 * Math.max(1, loss));
    const seen = ranks.reduce<number>((sum, rank, k) => sum + (rank === null ? 0 : lost(k, rank) / lost(k, 0) / 4), 0);
    assert.ok(Math.abs(curves[1]!.plan.value - Math.sqrt(seen)) < 1e-12);
  });

  it('are a point where nothing may be cut', () => {
    const asked = { ...request, exclude: ['*'] };
    const [weights] = sensitivityCurves(CHECKPOINT, inputs, makePlan(CHECKPOINT, inputs, asked));
    assert.deepEqual(
      weights!.best.map(({ value }) => value),
      [0],
    );
  });
});
