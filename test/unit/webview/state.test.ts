import assert from 'node:assert/strict';
import type { InspectorSnapshot } from '../../../src/protocol/page.ts';
import type { CheckpointView } from '../../../src/protocol/service.ts';
import { INITIAL_VIEW, modelOf, restoreView, updated, withSlider } from '../../../webview/inspector/state.ts';
import { finding } from './findings.ts';

const checkpoint: CheckpointView = {
  path: '/m.safetensors',
  format: 'safetensors',
  parameters: 2048,
  bytes: 8192,
  family: null,
  layers: 1,
  tensors: [{ name: 'a', shape: [64, 32], dtype: 'F32', bytes: 8192 }],
  matrices: [{ name: 'a', shape: [64, 32], dtype: 'F32', layer: 0, module: 'q' }],
  ties: [],
  skipped: [{ name: 'bias', reason: 'one dimension' }],
  warnings: [],
  security: [],
  metadata: {},
};
const snapshot: InspectorSnapshot = {
  checkpoint,
  error: null,
  engine: null,
  findings: [],
  skipped: [{ name: 'b', reason: 'not finite' }],
  run: { status: 'running', done: 0, total: 1, message: '', secondsLeft: null },
  statistics: null,
  smokeTest: null,
  ranks: {},
  selected: null,
};

describe('page state', () => {
  it('knows what was skipped on opening and in the run', () =>
    assert.deepEqual(
      [...modelOf(snapshot).skipped],
      [
        ['bias', 'one dimension'],
        ['b', 'not finite'],
      ],
    ));

  it('replaces a preview by the exact finding in place', () => {
    const preview = finding('a', { provenance: 'preview', effectiveRank: 15 });
    const first = updated(modelOf(snapshot), { findings: [preview] });
    assert.equal(first.model.findings.get('a')?.provenance, 'preview');
    const { model, changed } = updated(first.model, { findings: [finding('a')] });
    assert.equal(model.findings.size, 1);
    assert.equal(model.findings.get('a')?.provenance, 'exact');
    assert.deepEqual([...changed], ['findings']);
  });

  it('keeps the layout while results come, so that nothing moves under the pointer', () => {
    const before = modelOf(snapshot);
    const { model } = updated(before, { findings: [finding('a')], run: { ...snapshot.run, done: 1 } });
    assert.equal(model.layout, before.layout);
  });

  it('keeps findings and layout when the same checkpoint is read again', () => {
    const before = updated(modelOf(snapshot), { findings: [finding('a')] }).model;
    const { model, changed } = updated(before, { checkpoint: structuredClone(checkpoint), error: null });
    assert.equal(model.findings.get('a')?.provenance, 'exact');
    assert.equal(model.skipped.get('b'), 'not finite');
    assert.equal(model.layout, before.layout);
    assert.ok(changed.has('checkpoint'));
  });

  it('forgets the findings of matrices that changed', () => {
    const before = updated(modelOf(snapshot), { findings: [finding('a')] }).model;
    const [matrix] = checkpoint.matrices;
    const reshaped = { ...checkpoint, matrices: [{ ...matrix!, shape: [64, 16] as const }] };
    const { model } = updated(before, { checkpoint: reshaped });
    assert.equal(model.findings.size, 0);
    assert.deepEqual(model.layout.matrices[0]?.shape, [64, 16]);
  });

  it('takes the first checkpoint and its findings from one update', () => {
    const empty = modelOf({ ...snapshot, checkpoint: null, skipped: [] });
    const { model } = updated(empty, { checkpoint, findings: [finding('a')] });
    assert.equal(model.layout.matrices.length, 1);
    assert.equal(model.findings.size, 1);
  });

  it('accepts a tensor named __proto__', () => {
    const odd = finding('__proto__');
    const { model } = updated(modelOf(snapshot), { findings: [odd] });
    assert.equal(model.findings.get('__proto__'), odd);
    assert.equal(Object.hasOwn(withSlider(INITIAL_VIEW, '__proto__', 3).sliders, '__proto__'), true);
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
  });
});

describe('the view state', () => {
  it('is restored as it was left', () => {
    const view = {
      ...withSlider(INITIAL_VIEW, 'a', 7),
      selected: 'a',
      measure: 'alpha',
      basis: 'absolute' as const,
      zoom: { x: [0, 2], y: [1, 3] } as const,
      logRank: true,
    };
    assert.deepEqual(restoreView(JSON.parse(JSON.stringify(view))), view);
  });

  for (const odd of [
    undefined,
    null,
    'text',
    { measure: 'gone', basis: 4, zoom: { x: [1, 0], y: [0, 1] }, sliders: { a: 'x' }, selected: 3 },
    { sliders: null, zoom: { x: [0, null], y: [0, 1] } },
  ])
    it(`of an unknown kind are replaced: ${JSON.stringify(odd)}`, () =>
      assert.deepEqual(restoreView(odd), INITIAL_VIEW));

  it('keeps the positions of a bounded number of sliders, the latest ones', () => {
    let view = INITIAL_VIEW;
    for (let i = 0; i < 500; i++) view = withSlider(view, `m${i}`, i);
    const names = Object.keys(view.sliders);
    assert.equal(names.length, 200);
    assert.equal(names.at(-1), 'm499');
  });
});
