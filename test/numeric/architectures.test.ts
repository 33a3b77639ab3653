import assert from 'node:assert/strict';
import { autoClasses } from '../../src/write/folder/autoClasses.ts';
import { SAMPLE } from '../sweep/sample.ts';
import { known, sweep } from '../sweep/sweep.ts';

/**
 * Linear layers, Conv1D, convolutions, layers with own code, experts and fused weights that are merged, also under
 * names that change, buffers that one module fills for others, no class for the task, and "tokenizer" in a name.
 */
const FOLDERS = [
  'llama',
  'gpt2',
  'convnext',
  'falcon',
  'mixtral',
  'axk1',
  'molmo2_text',
  't5',
  'falcon_h1',
  'jina_embeddings_v3',
  'sarvam_moe',
  'swin',
  'pocket_tts_audio_tokenizer',
] as const;
const python = process.env.RANKSCOPE_PYTHON;

describe('generated code on architectures of transformers', function () {
  this.timeout(600_000);

  const title = `loads a sample of ${SAMPLE.length} that compute what the dense models with W = B A compute`;
  if (!python) {
    it.skip(`${title} (RANKSCOPE_PYTHON names no Python)`);
    return;
  }
  it(title, async () => {
    const outcomes = await sweep(python, SAMPLE);
    const faults = outcomes
      .filter(({ verdict, wrongSpectra = [] }) => verdict !== 'equal' || wrongSpectra.length > 0)
      .map(
        ({ type, verdict, reason = '', wrongSpectra = [] }) =>
          `${type}: ${verdict} ${[reason, ...wrongSpectra].join('; ')}`,
      );
    assert.deepEqual(faults, []);
    for (const { type, planned = 0, replaced = 0, effect = 0, difference = 1 } of outcomes) {
      assert.ok(planned > 3 && replaced > 0, `${type}: ${planned} planned, ${replaced} layers became low-rank`);
      assert.ok(effect > 100 * difference, `${type}: the factors change nothing: the test sees nothing`);
    }
  });

  it('are opened by transformers from a folder, and once more when they were saved, with the same outputs', async () => {
    const outcomes = await sweep(python, FOLDERS, undefined, 'folder');
    for (const { type, verdict, reason, planned = 0, difference = 1, effect = 0 } of outcomes) {
      assert.equal(`${verdict} ${reason ?? ''}`, 'equal ', type);
      assert.ok(planned > 2 && difference < 1e-5 && effect > 100 * difference, `${type}: ${difference} of ${effect}`);
    }
  });

  it('name in a folder all classes with which transformers opens the model, and the base model apart', async () => {
    const { autos } = await known(python);
    assert.ok(Object.keys(autos).length > 500);
    // For these, AutoModel opens the class itself, and a folder has the base model there.
    const missing = Object.entries(autos).flatMap(([name, openers]) =>
      openers
        .filter((auto) => auto !== 'AutoModel' && !autoClasses(name).includes(auto))
        .map((auto) => `${name}: ${auto}`),
    );
    assert.deepEqual(missing, []);
  });
});
