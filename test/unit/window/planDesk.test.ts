import assert from 'node:assert/strict';
import { RankscopeError } from '../../../src/base/errors.ts';
import type { Plan, PlanRequest } from '../../../src/model/plan/plan.ts';
import { FIRST_REQUEST, PLAN_DEFAULTS } from '../../../src/model/plan/planRequest.ts';
import type { Service } from '../../../src/protocol/service.ts';
import { PlanDesk } from '../../../src/window/plan/planDesk.ts';
import { inProcess, memory, SAMPLE } from './inProcess.ts';

describe('the plan desk', () => {
  let parts: ReturnType<typeof inProcess>;
  let desk: PlanDesk;
  before(async () => {
    parts = inProcess();
    await parts.store.get(SAMPLE).start();
  });
  after(() => parts.close());
  beforeEach(() => {
    desk = newDesk(memory());
    desk.selectCheckpoint(SAMPLE);
  });
  const newDesk = (kept: ReturnType<typeof memory>, canWrite = true) =>
    new PlanDesk({ service: parts.service, store: parts.store, memory: kept, canWrite: () => canWrite });

  it('computes the plan of its request, and recomputes it after a change', async () => {
    const plan = await desk.compute();
    assert.deepEqual(plan.request, { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.6 } });
    assert.equal(desk.snapshot().plan, plan);
    desk.change({ ...FIRST_REQUEST, budget: { kind: 'keep', value: 0.3 } });
    assert.equal(desk.snapshot().plan, null);
    const smaller = await desk.compute();
    assert.ok(smaller.totals.parametersAfter < plan.totals.parametersAfter);
  });

  it('cancels the plan of a request that has changed since', async () => {
    const first = desk.compute();
    desk.change({ ...FIRST_REQUEST, budget: { kind: 'keep', value: 0.4 } });
    const second = desk.compute();
    await assert.rejects(first, { code: 'cancelled' });
    assert.deepEqual((await second).request.budget, { kind: 'keep', value: 0.4 });
    assert.equal(desk.snapshot().error, null);
  });

  it('measures for a spread by loss when it is started, and goes on measuring when the budget changes', async () => {
    const request = { ...FIRST_REQUEST, spread: 'loss' } as const;
    const known: PlanRequest[] = [];
    let finish = () => {};
    const plan: Service['plan'] = async (asked) => {
      known.push(asked.request);
      if (known.length === 1) await new Promise<void>((resolve) => (finish = resolve));
      return { ...(await parts.service.plan({ path: SAMPLE, request: FIRST_REQUEST })), request: asked.request };
    };
    desk = new PlanDesk({ service: { plan }, store: parts.store, memory: memory(), canWrite: () => true });
    desk.selectCheckpoint(SAMPLE);
    desk.change(request);
    assert.deepEqual(desk.snapshot().measure, { text: null, statistics: null, minutes: null, waits: true });
    await assert.rejects(desk.compute(), /no text is chosen/);
    assert.match(desk.snapshot().error!.found, /no text is chosen/);
    desk.chooseText({ text: '/wiki.txt' });
    desk.limitMinutes(3);
    assert.deepEqual(desk.snapshot().measure, { text: '/wiki.txt', statistics: null, minutes: 3, waits: true });
    assert.equal(desk.isQuick, false);
    const computed = desk.compute();
    assert.equal(desk.snapshot().measure.waits, false);
    while (known.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const smaller = { ...request, budget: { kind: 'keep', value: 0.3 } } as const;
    desk.change(smaller);
    assert.equal(desk.compute(), computed);
    finish();
    assert.deepEqual((await computed).request, smaller);
    assert.deepEqual(known, [request, smaller]);
    assert.equal(desk.isQuick, true);
    desk.change({ ...smaller, spread: 'activations' });
    assert.equal(desk.snapshot().measure.waits, true);
  });

  it('ends a measurement that is cancelled, and waits for the next start', async () => {
    const plan: Service['plan'] = (_asked, { signal } = {}) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(new RankscopeError('cancelled', SAMPLE, 'cancelled')));
      });
    desk = new PlanDesk({ service: { plan }, store: parts.store, memory: memory(), canWrite: () => true });
    desk.selectCheckpoint(SAMPLE);
    desk.change({ ...FIRST_REQUEST, spread: 'loss' });
    desk.chooseText({ text: '/wiki.txt' });
    const computed = desk.compute();
    await new Promise((resolve) => setTimeout(resolve, 150));
    desk.cancel();
    await assert.rejects(computed, { code: 'cancelled' });
    const { busy, error, measure } = desk.snapshot();
    assert.deepEqual([busy, error, measure.waits], [null, null, true]);
  });

  it('gives up shared factors where other settings do not allow them', async () => {
    const share = { inputs: true, layers: 2 };
    desk.change({ ...FIRST_REQUEST, share });
    assert.deepEqual(desk.snapshot().request.share, share);
    const plan = await desk.compute();
    assert.deepEqual(plan?.request.share, share);
    for (const other of [{ factors: 3 }, { spread: 'uniform' }, { budget: { kind: 'rank', value: 4 } }] as const) {
      desk.change({ ...FIRST_REQUEST, share, ...other });
      assert.equal(desk.snapshot().request.share, undefined);
    }
  });

  it('takes a rank set by hand as an override, shows it in the inspector, and undoes it', async () => {
    const session = parts.store.get(SAMPLE);
    const name = session.view?.matrices.at(-1)?.name ?? assert.fail();
    desk.setRank(SAMPLE, [name], 3);
    assert.deepEqual(session.ranks, { [name]: 3 });
    assert.equal((await desk.compute()).matrices.find((matrix) => matrix.name === name)?.rank, 3);
    desk.clearRank(SAMPLE, [name]);
    assert.deepEqual(session.ranks, {});
    desk.undo();
    assert.deepEqual(session.ranks, { [name]: 3 });
    desk.undo();
    assert.deepEqual(desk.snapshot().request, FIRST_REQUEST);
    assert.equal(desk.snapshot().canUndo, false);
  });

  it('keeps a matrix dense whose rank is set to null', async () => {
    const session = parts.store.get(SAMPLE);
    const name = session.view?.matrices.at(-1)?.name ?? assert.fail();
    desk.setRank(SAMPLE, [name], null);
    assert.deepEqual(desk.snapshot().request.overrides, { [name]: null });
    assert.deepEqual(session.ranks, {}, 'the inspector shows no rank');
    assert.equal((await desk.compute()).matrices.find((matrix) => matrix.name === name)?.rank, null);
    desk.clearRank(SAMPLE, [name]);
    assert.deepEqual(desk.snapshot().request.overrides, {});
  });

  it('sets the rank of all layers of a module in one step', () => {
    const names = (parts.store.get(SAMPLE).view?.matrices ?? [])
      .map(({ name }) => name)
      .filter((name) => /q_proj/.test(name));
    assert.ok(names.length > 1);
    desk.setRank(SAMPLE, names, 4);
    assert.deepEqual(Object.keys(desk.snapshot().request.overrides), names);
    desk.undo();
    assert.deepEqual(desk.snapshot().request.overrides, {});
  });

  it('remembers a request across windows', () => {
    const kept = memory();
    const before = newDesk(kept);
    before.selectCheckpoint(SAMPLE);
    before.change({ ...FIRST_REQUEST, multiple: 4 });
    const after = newDesk(kept);
    after.selectCheckpoint(SAMPLE);
    assert.equal(after.snapshot().request.multiple, 4);
  });

  it('redoes what was undone, and keeps the whole history when the window is closed', () => {
    const kept = memory();
    const before = newDesk(kept);
    before.selectCheckpoint(SAMPLE);
    for (const multiple of [2, 4, 8]) before.change({ ...FIRST_REQUEST, multiple });
    before.undo();
    const after = newDesk(kept);
    after.selectCheckpoint(SAMPLE);
    const multiples = (...steps: ('undo' | 'redo')[]) =>
      steps.map((step) => {
        after[step]();
        return after.snapshot().request.multiple;
      });
    assert.deepEqual(multiples('redo', 'redo', 'undo', 'undo', 'undo', 'undo', 'redo'), [8, 8, 4, 2, 1, 1, 2]);
    const { canUndo, canRedo } = after.snapshot();
    assert.deepEqual([canUndo, canRedo], [true, true]);
    after.change({ ...FIRST_REQUEST, multiple: 16 });
    assert.equal(after.snapshot().canRedo, false);
  });

  it('reads the request that an earlier version kept without its history', async () => {
    const kept = memory();
    await kept.update(`plan:${SAMPLE}`, { ...FIRST_REQUEST, multiple: 4 });
    const after = newDesk(kept);
    after.selectCheckpoint(SAMPLE);
    const { request, canUndo, canRedo } = after.snapshot();
    assert.deepEqual([request.multiple, canUndo, canRedo], [4, false, false]);
  });

  it('opens a plan as a step that can be undone, and refuses that of another checkpoint with the differences', async () => {
    const request: PlanRequest = { ...FIRST_REQUEST, multiple: 2, rules: [{ match: '*.down_proj.*', rank: null }] };
    const plan = await parts.service.plan({ path: SAMPLE, request });
    await desk.open(SAMPLE, plan);
    assert.deepEqual(desk.snapshot().request, request);
    const [first, ...others] = plan.matrices;
    const other: Plan = {
      ...plan,
      request: FIRST_REQUEST,
      checkpoint: { ...plan.checkpoint, path: 'other.gguf', bytes: 7 },
      matrices: [{ ...first!, name: 'elsewhere' }, { ...others[0]!, shape: [3, 2] }, ...others.slice(1)],
    };
    await assert.rejects(desk.open(SAMPLE, other), (error: RankscopeError) => {
      for (const part of [
        /the plan is for other\.gguf with 7/,
        /in the plan 3 x 2/,
        /it has no elsewhere/,
        /the plan has no /,
      ])
        assert.match(error.found, part);
      return error.code === 'wrong-use';
    });
    assert.deepEqual(desk.snapshot().request, request);
    desk.undo();
    assert.deepEqual(desk.snapshot().request, FIRST_REQUEST);
    await assert.rejects(desk.open('/nowhere/model.safetensors', plan), { code: 'not-found' });
  });

  it('plans for other budgets from what was measured for an opened plan, without a text', async () => {
    const made = await parts.service.plan({ path: SAMPLE, request: FIRST_REQUEST });
    const request: PlanRequest = { ...FIRST_REQUEST, spread: 'activations' };
    const sensitivities = { inputs: { kind: 'full', text: 'wiki', tokens: 9 }, matrices: [] } as const;
    const opened: Plan = { ...made, request, sensitivities };
    const asked: unknown[] = [];
    const plan: Service['plan'] = async ({ sources, ...rest }) => {
      asked.push(sources);
      return { ...opened, request: rest.request };
    };
    desk = new PlanDesk({ service: { plan }, store: parts.store, memory: memory(), canWrite: () => true });
    await desk.open(SAMPLE, opened);
    assert.equal(desk.isQuick, true);
    await desk.compute();
    assert.deepEqual(asked, [{ from: opened }]);
    desk.change({ ...request, exclude: ['*.0.*'] });
    assert.equal(desk.isQuick, false);
  });

  it('shows what is wrong with a request, and recovers', async () => {
    desk.change({ ...FIRST_REQUEST, budget: { kind: 'keep', value: -1 } });
    await assert.rejects(desk.compute());
    assert.ok(desk.snapshot().error);
    desk.undo();
    await desk.compute();
    assert.equal(desk.snapshot().error, null);
  });

  it('forbids writing in an untrusted workspace', () => {
    assert.equal(newDesk(memory(), false).snapshot().canWrite, false);
  });
});
