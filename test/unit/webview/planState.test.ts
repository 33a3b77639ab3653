import assert from 'node:assert/strict';
import type { PlanRequest } from '../../../src/model/plan/plan.ts';
import { checkRequest } from '../../../src/model/plan/planRequest.ts';
import {
  BUDGETS,
  budgetOf,
  includesKind,
  overrideOf,
  SHARES,
  shareOf,
  shownBudget,
  withKind,
  withOverride,
  withShare,
} from '../../../webview/plan/planState.ts';

const request: PlanRequest = {
  budget: { kind: 'keep', value: 0.6 },
  spread: 'optimal',
  multiple: 8,
  exclude: [],
  overrides: {},
  factors: 2,
};

describe('plan budget', () => {
  for (const kind of BUDGETS) {
    it(`of kind ${kind.id} makes a request the planner takes, anywhere on its slider`, () => {
      for (const shown of [kind.min, kind.min + kind.step, kind.max])
        checkRequest({ ...request, budget: budgetOf(kind, shown) });
      checkRequest({ ...request, budget: { kind: kind.id, value: kind.first } });
    });

    it(`of kind ${kind.id} is shown as it was set`, () => {
      for (let shown = kind.min; shown <= kind.max; shown += kind.step * 7) {
        const rounded = Number(shown.toPrecision(6));
        assert.equal(shownBudget(budgetOf(kind, rounded)), rounded);
      }
    });
  }
});

describe('kinds that are dense by default', () => {
  it('are included and left dense again, without touching names that are included', () => {
    const some = { ...request, include: ['*.gate.*', 'heads'] };
    assert.ok(includesKind(some, 'head') && !includesKind(some, 'embedding'));
    const both = withKind(some, 'embedding', true);
    assert.deepEqual(both.include, ['*.gate.*', 'heads', 'embedding']);
    assert.deepEqual(withKind(both, 'head', false).include, ['*.gate.*', 'embedding']);
    assert.deepEqual(withKind(request, 'router', true).include, ['router']);
    assert.deepEqual(withKind(withKind(request, 'router', true), 'router', true).include, ['router']);
  });
});

describe('plan overrides', () => {
  it('set a rank, keep a matrix dense, or leave it to the plan again', () => {
    const cut = withOverride(request, 'a', 16);
    assert.equal(overrideOf(cut, 'a'), 16);
    const dense = withOverride(cut, 'a', null);
    assert.equal(overrideOf(dense, 'a'), null);
    assert.equal(overrideOf(withOverride(dense, 'a', undefined), 'a'), undefined);
    assert.deepEqual(request.overrides, {}, 'the request itself is not touched');
  });

  it('accept __proto__ as a name', () => {
    assert.equal(overrideOf(request, '__proto__'), undefined);
    assert.equal(overrideOf(withOverride(request, '__proto__', 4), '__proto__'), 4);
  });
});

describe('shared factors', () => {
  it('are shown as they were set, over as many layers as before', () => {
    for (const { id } of SHARES) assert.equal(shareOf(withShare(request, id)), id);
    const many = { ...request, share: { inputs: true, layers: 5 } };
    assert.deepEqual(withShare(many, 'layers').share, { inputs: false, layers: 5 });
    assert.deepEqual(withShare(many, 'inputs').share, { inputs: true, layers: 1 });
    assert.equal('share' in withShare(many, 'none'), false);
  });
});
