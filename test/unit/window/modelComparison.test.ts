import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { DiffSnapshot } from '../../../src/protocol/page.ts';
import { ModelComparison } from '../../../src/window/diff/modelComparison.ts';
import { testFolder } from '../formats/folder.ts';
import { f32File } from '../formats/safetensorsBytes.ts';
import { inProcess } from './inProcess.ts';

const QUERIES = 'model.layers.0.self_attn.q_proj.weight';

describe('a comparison of two models in the editor', () => {
  const folder = testFolder();
  let parts: ReturnType<typeof inProcess>;
  beforeEach(() => {
    parts = inProcess();
  });
  afterEach(() => parts.close());
  const model = (name: string, values: readonly number[]) =>
    folder.write(name, f32File({ [QUERIES]: { shape: [2, 2], values } }));

  it('sends updates that lead to the result, swaps the two, and has the spectra of a matrix', async () => {
    const [one, two] = [model('one.safetensors', [3, 0, 0, 1]), model('two.safetensors', [3, 0, 0, 2])];
    const comparison = new ModelComparison(one, two, parts.service, () => ({ engine: 'cpu', threads: 1 }));
    let page: DiffSnapshot = comparison.snapshot();
    comparison.updates.on((update) => {
      page = { ...page, ...update };
    });
    await comparison.start();
    assert.deepEqual(page, comparison.snapshot());
    assert.deepEqual([page.run.status, page.diff!.totals.changed, page.diff!.base.path], ['done', 1, one]);
    const [matrix] = await comparison.spectra(QUERIES);
    assert.deepEqual(
      [matrix!.spectra!.base, matrix!.spectra!.other].map((values) => values.map((value) => Number(value.toFixed(5)))),
      [
        [3, 1],
        [3, 2],
      ],
    );
    await comparison.swap();
    assert.deepEqual([page.base, page.other, page.diff!.base.path], [two, one, two]);
    assert.deepEqual(comparison.restoring('3.1-2'), {
      base: two,
      other: one,
      heads: [
        { layer: 3, head: 1 },
        { layer: 3, head: 2 },
      ],
    });
  });

  it('tells what is wrong with one of the files', async () => {
    const whole = model('whole.safetensors', [1, 0, 0, 1]);
    const half = folder.write('half.safetensors', readFileSync(whole).subarray(0, -4));
    const comparison = new ModelComparison(whole, half, parts.service, () => ({ engine: 'cpu', threads: 1 }));
    await comparison.start();
    const { run, error, diff } = comparison.snapshot();
    assert.deepEqual([run.status, diff], ['failed', null]);
    assert.match(error!.subject, /half\.safetensors/);
  });
});
