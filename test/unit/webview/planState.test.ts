import assert from 'node:assert/strict';
import type { PlanRequest } from '../../../src/model/plan/plan.ts';
import { checkRequest } from '../../../src/model/plan/planRequest.ts';
import {
  budgetKinds,
  budgetOf,
  includesKind,
  overrideOf,
  ruleLines,
  SHARES,
  shareOf,
  shownBudget,
  wholeModel,
  withKind,
  withOverride,
  withRules,
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

const WHOLE = { bytes: 1_234_567_890, multiplyAdds: 300_123_456 };

describe('plan budget', () => {
  for (const kind of budgetKinds(WHOLE)) {
    it(`of kind ${kind.id} makes a request the planner takes, anywhere on its slider`, () => {
      for (const shown of [kind.min, kind.min + kind.step, kind.max])
        checkRequest({ ...request, budget: budgetOf(kind, shown) });
      checkRequest({ ...request, budget: { kind: kind.id, value: kind.first } });
    });

    it(`of kind ${kind.id} is shown as it was set`, () => {
      for (let shown = kind.min; shown <= kind.max; shown += kind.step * 7) {
        const rounded = Number(shown.toPrecision(6));
        assert.equal(shownBudget(budgetOf(kind, rounded), kind), rounded);
      }
    });
  }

  it('of a size is offered for the whole model, as far as that is known, and in its range', () => {
    const sizes = (of: typeof WHOLE | undefined) =>
      budgetKinds(of).flatMap(({ id, unit, max }) =>
        id === 'bytes' || id === 'multiplyAdds' ? [[id, unit, max]] : [],
      );
    assert.deepEqual(sizes(undefined), []);
    assert.deepEqual(sizes(WHOLE), [
      ['bytes', 'GB', 1.24],
      ['multiplyAdds', 'M', 300.13],
    ]);
    const asked = { ...request, budget: { kind: 'bytes', value: 5e6 } } as const;
    assert.deepEqual(sizes(wholeModel(asked, null)), [
      ['bytes', 'MB', 5],
      ['multiplyAdds', 'M', 5],
    ]);
  });
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

describe('rules', () => {
  it('are read as the command line reads them, and shown as lines that read as the same rules', () => {
    const lines = ['*.down_proj.*: floor 0.5, multiple 8', '*.layers.0.*: dense', 'a:b*: keep 25%'];
    const changed = withRules(request, lines);
    assert.ok(typeof changed !== 'string');
    assert.deepEqual(changed.rules, [
      { match: '*.down_proj.*', floor: 0.5, multiple: 8 },
      { match: '*.layers.0.*', rank: null },
      { match: 'a:b*', keep: 0.25 },
    ]);
    checkRequest(changed);
    assert.deepEqual(withRules(request, ruleLines(changed)), changed);
    assert.equal('rules' in (withRules(changed, []) as PlanRequest), false);
  });

  it('name the line that is none', () => {
    assert.match(
      withRules(request, ['*: rank 4', '*.q: rang 5']) as string,
      /^“\*\.q: rang 5”: 'rang 5' is no setting/,
    );
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
