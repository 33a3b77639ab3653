import assert from 'node:assert/strict';
import type { Plan, PlanRequest } from '../../../src/model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../../src/model/plan/planRequest.ts';
import { askedText } from '../../../src/window/evaluation/evaluations.ts';
import { planName } from '../../../src/window/evaluation/planName.ts';

describe('the name of a plan in an evaluation', () => {
  const plan = (request: Partial<PlanRequest>) =>
    ({ request: { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.8 }, ...request } }) as Plan;
  for (const [request, name] of [
    [{}, '80 % kept, optimal'],
    [{ budget: { kind: 'energy', value: 0.95 } }, '95 % energy'],
    [{ budget: { kind: 'rank', value: 64 }, multiple: 8 }, 'rank 64, multiples of 8'],
    [{ spread: 'uniform', exclude: ['*.q.*'], include: ['head'] }, '80 % kept, uniform, without *.q.*, with head'],
    [{ budget: { kind: 'error', value: 0.125 }, overrides: { a: 3 } }, '12.5 % error, optimal, 1 rank by hand'],
  ] as const)
    it(`is "${name}"`, () => assert.equal(planName(plan(request)), name));
});

describe('what a run measures, in words', () => {
  const request = { text: '/t/a.txt', ranks: [], plans: [], files: [] };
  it('names ranks, plans, files and the text', () => {
    const plans = [{ name: '80 % kept', plan: {} as Plan }];
    assert.equal(
      askedText({ ...request, ranks: [4, 8], plans, files: ['/m/b.safetensors'] }),
      'ranks 4, 8 and 80 % kept and b.safetensors on a.txt',
    );
    assert.equal(askedText({ ...request, ranks: [4] }), 'rank 4 on a.txt');
    assert.equal(askedText(request), 'the dense model on a.txt');
  });
});
