import assert from 'node:assert/strict';
import { RankscopeError } from '../../../src/base/errors.ts';
import type { CheckpointView, MatrixView, Spectrum } from '../../../src/protocol/service.ts';
import { bytesPerParameter, createSpectra } from '../../../webview/inspector/spectra.ts';

const matrix = (name: string): MatrixView => ({ name, layer: 0, module: 'q', shape: [4, 2], dtype: 'BF16' });
const checkpoint: CheckpointView = {
  path: '/m',
  format: 'safetensors',
  parameters: 100,
  bytes: 400,
  family: null,
  layers: 1,
  tensors: [{ name: 'a', shape: [4, 2], dtype: 'BF16', bytes: 16 }],
  matrices: [],
  ties: [],
  skipped: [],
  warnings: [],
  security: [],
  metadata: {},
};
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('spectra on the page', () => {
  it('are requested once and then kept', async () => {
    const asked: string[] = [];
    const changed: string[] = [];
    const spectra = createSpectra(
      async (name) => {
        asked.push(name);
        return { name, singularValues: [2, 1] };
      },
      (name) => changed.push(name),
    );
    assert.equal(spectra.get(checkpoint, matrix('a')).kind, 'loading');
    assert.equal(spectra.get(checkpoint, matrix('a')).kind, 'loading');
    await settled();
    const state = spectra.get(checkpoint, matrix('a'));
    assert.ok(state.kind === 'ready');
    assert.equal(state.outcomes.at(1).bytesBefore, 16);
    assert.deepEqual([asked, changed], [['a'], ['a']]);
  });

  it('that failed say why, and are requested again once forgotten', async () => {
    let fail = true;
    const spectra = createSpectra(
      async (name) => {
        if (fail) throw new RankscopeError('not-finite', name, '3 values are NaN');
        return { name, singularValues: [1, 1] };
      },
      () => undefined,
    );
    spectra.get(checkpoint, matrix('a'));
    await settled();
    const state = spectra.get(checkpoint, matrix('a'));
    assert.ok(state.kind === 'failed' && state.error.found === '3 values are NaN');
    fail = false;
    spectra.forget('a');
    spectra.get(checkpoint, matrix('a'));
    await settled();
    assert.equal(spectra.get(checkpoint, matrix('a')).kind, 'ready');
  });

  it('of an earlier checkpoint are ignored', async () => {
    const answers: ((spectrum: Spectrum) => void)[] = [];
    const changed: string[] = [];
    const spectra = createSpectra(
      () => new Promise((resolve) => answers.push(resolve)),
      (name) => changed.push(name),
    );
    spectra.get(checkpoint, matrix('a'));
    spectra.forget();
    answers[0]!({ name: 'a', singularValues: [9, 9] });
    await settled();
    assert.deepEqual(changed, []);
    assert.equal(spectra.get(checkpoint, matrix('a')).kind, 'loading');
  });

  it('are kept for a bounded number of matrices, the most recently shown', async () => {
    const asked: string[] = [];
    const spectra = createSpectra(
      async (name) => {
        asked.push(name);
        return { name, singularValues: [1, 1] };
      },
      () => undefined,
    );
    for (let i = 0; i < 100; i++) {
      spectra.get(checkpoint, matrix(`m${i}`));
      spectra.get(checkpoint, matrix('m0'));
      await settled();
    }
    assert.equal(asked.length, 100);
    spectra.get(checkpoint, matrix('m1'));
    assert.equal(asked.length, 101, 'm1 was dropped long ago, m0 never');
  });
});

describe('bytes per parameter', () => {
  it('are those of the stored tensor', () => assert.equal(bytesPerParameter(checkpoint, matrix('a')), 2));
  it('are the checkpoint’s average if the matrix is part of a tensor', () =>
    assert.equal(bytesPerParameter(checkpoint, matrix('experts[3]')), 4));
});
