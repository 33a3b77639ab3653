import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { Extraction } from '../../../src/model/lora/extraction.ts';
import { cleanForm } from '../../../src/window/lora/cleanForm.ts';
import { convertForm } from '../../../src/window/lora/convertForm.ts';
import { extractForm, surveyOf } from '../../../src/window/lora/extractForm.ts';
import type { ChoiceField, Field, FormValues } from '../../../src/window/lora/form.ts';
import { parsedGlobs, parsedNumber } from '../../../src/window/lora/form.ts';
import { initForm } from '../../../src/window/lora/initForm.ts';
import type { LoraForm } from '../../../src/window/lora/loraForm.ts';
import { mergeForm } from '../../../src/window/lora/mergeForm.ts';
import { inTheWay, nameFor, nameProblem, placeFor } from '../../../src/window/lora/places.ts';
import { extractionReport, initializationReport, writtenReport } from '../../../src/window/lora/reports.ts';
import { resizeForm } from '../../../src/window/lora/resizeForm.ts';
import { testFolder } from '../formats/folder.ts';

const PATH = '/w/style.safetensors';

describe('the questions of LoRA commands', () => {
  const folder = testFolder();
  const field = (form: LoraForm<unknown>['form'], key: string, values: FormValues): Field => {
    const found = form.fields(values).find((each) => each.key === key);
    assert.ok(found, key);
    return found;
  };
  /** The answers after the choice with this label. */
  const chosen = (form: LoraForm<unknown>['form'], key: string, label: string, values: FormValues): FormValues => {
    const choice = (field(form, key, values) as ChoiceField).choices.find((each) => each.label === label);
    assert.ok(choice, label);
    return { ...values, ...choice.set };
  };

  it('resize an adapter by one rank or by a rule of kohya, in a folder or in a file as it was', () => {
    const { form, defaults, request, target } = resizeForm('/w/style', false);
    assert.deepEqual(request(defaults), { kind: 'resize', path: '/w/style', out: '/w/style-resized', rank: 8 });
    const ruled = { ...chosen(form, 'rule', 'sv_fro', defaults), rank: undefined, out: '/other/x' };
    assert.deepEqual(request(ruled), {
      kind: 'resize',
      path: '/w/style',
      out: '/other/x',
      method: { name: 'sv_fro', value: 0.95 },
    });
    assert.equal(form.outlook({ ...defaults, rank: undefined }).ready, false);
    assert.deepEqual(form.outlook(ruled), { text: 'sv_fro 0.95, any rank at most', ready: true });
    assert.equal(target(ruled).form, 'adapter');
    const flat = resizeForm(PATH, true);
    assert.deepEqual(flat.target(flat.defaults), { out: '/w/style-resized.safetensors', form: 'file' });
  });

  it('convert to the names of a library, whose files and folders are called after what reads them', () => {
    const { form, defaults, request } = convertForm(PATH);
    const kohya = chosen(form, 'names', 'kohya', defaults);
    assert.deepEqual(request({ ...kohya, base: '/w/unet' }), {
      kind: 'convert',
      path: PATH,
      out: '/w/style-kohya.safetensors',
      names: 'kohya',
      loader: 'peft',
      base: '/w/unet',
    });
    const { out } = request(chosen(form, 'loader', 'vllm', defaults));
    assert.equal(out, '/w/style-vllm');
  });

  it('need the base of an adapter before it is cleaned', () => {
    const { form, defaults, request } = cleanForm(PATH);
    assert.equal(form.outlook(defaults).ready, false);
    const values = { ...defaults, base: '/w/model', threshold: 0.4 };
    assert.equal(form.outlook(values).ready, true);
    const { base, top, threshold, remain } = request(values);
    assert.deepEqual([base, top, threshold, remain], ['/w/model', 10, 0.4, 0.75]);
  });

  it('merge several adapters with what their method needs, and a single one into its base', () => {
    const { form, defaults, request } = mergeForm(['/w/a', '/w/b']);
    assert.deepEqual(request(defaults), {
      ...{ kind: 'combine', paths: ['/w/a', '/w/b'], out: '/w/merged', combination: 'svd' },
    });
    const ties = { ...chosen(form, 'combination', 'dare_ties_svd', defaults), weights: ['1', '0.5'], rank: 4 };
    assert.deepEqual(request(ties), {
      ...{ kind: 'combine', paths: ['/w/a', '/w/b'], out: '/w/merged', combination: 'dare_ties_svd' },
      ...{ weights: [1, 0.5], rank: 4, density: 0.5, majoritySign: 'total', seed: 1 },
    });
    assert.deepEqual(
      form.fields(ties).map(({ key }) => key),
      ['combination', 'rank', 'density', 'majoritySign', 'seed', 'weights', 'out'],
    );
    for (const weights of [['1'], ['1', 'x']]) assert.equal(form.outlook({ ...ties, weights }).ready, false);
    const single = mergeForm(['/w/a']);
    assert.equal(single.form.outlook(single.defaults).ready, false);
    assert.deepEqual(single.request({ ...single.defaults, base: '/w/m', weights: ['0.5'] }), {
      ...{ kind: 'into', base: '/w/m', path: '/w/a', out: '/w/a-merged.safetensors', weight: 0.5 },
    });
  });

  it('initialize an adapter on the activations that the inspector shows', () => {
    const { defaults, request, form } = initForm('/w/model', '/w/a.activations.safetensors');
    assert.deepEqual(request({ ...defaults, tensors: ['*.q_proj.*'] }), {
      path: '/w/model',
      out: '/w/model-pissa',
      rank: 16,
      activations: '/w/a.activations.safetensors',
      tensors: ['*.q_proj.*'],
    });
    assert.match(form.outlook(initForm('/w/model', null).defaults).text, /W \(PiSSA\)$/);
  });

  const extraction: Extraction = {
    format: 'rankscope.extraction/1',
    ...{ base: '/w/base', tuned: '/w/tuned', out: null, unchanged: 3, modulesToSave: [], remarks: ['Mind this.'] },
    matrices: [
      {
        ...{ name: 'q', shape: [10, 10], rank: 1, norm: 5, change: 0.1, share: 25 / 26, breakEven: 5 },
        ...{ predictedError: 0.6, measuredError: null, aboveRounding: 2, values: [4, 3, 0, 0, 0, 0, 0, 0, 0, 0] },
      },
    ],
    others: [{ name: 'norm', kind: 'norm', share: 1 / 26, change: 0.2, module: 'norm' }],
    totals: { parameters: 20, bytes: null, norm: Math.sqrt(26), predictedError: 0.6, measuredError: null },
  };

  it('list what every choice of ranks would extract', () => {
    const { form, defaults, request } = extractForm(extraction);
    assert.equal(form.outlook(defaults).text, 'rank 2, 40 parameters, 19.6 % of the difference left');
    const saved = { ...defaults, modulesToSave: true };
    assert.equal(form.outlook(saved).text, 'rank 2, 40 parameters, 0 % of the difference left');
    const { choices } = field(form, 'ranks', saved) as ChoiceField;
    const one = choices.find(({ label }) => label === 'rank 1 in each matrix');
    // 3 of the values 4 and 3 is left, of a norm of sqrt 26.
    assert.equal(
      one?.description,
      `rank 1, 20 parameters, ${((100 * 3) / Math.sqrt(26)).toFixed(1)} % of the difference left`,
    );
    const typed = choices.find(({ label }) => label === 'A number of parameters…')!.ask!;
    assert.match(typed.hint!(40), /^rank 2, 40 parameters/);
    assert.throws(() => typed.hint!(5), /5 parameters do not suffice/);
    const values = { ...saved, ...chosen(form, 'ranks', 'rank 1 in each matrix', saved), out: 'mine' };
    assert.deepEqual(request(values), {
      ...{ base: '/w/base', tuned: '/w/tuned', out: '/w/mine', mostRank: 256, modulesToSave: true, dtype: 'F32' },
      ...{ target: { by: 'rank', value: 1 }, spread: 'each' },
    });
    const budget = { ...values, by: 'parameters', spread: 'all', value: 5 };
    assert.deepEqual(form.outlook(budget).ready, false);
    const again = surveyOf('/w/base', '/w/tuned', { ...values, exclude: ['x'] });
    assert.deepEqual(again, { base: '/w/base', tuned: '/w/tuned', values: true, exclude: ['x'], mostRank: 256 });
  });

  it('take numbers in their range, and globs with spaces or commas between', () => {
    const rank = field(resizeForm('/w/style', false).form, 'rank', {}) as Parameters<typeof parsedNumber>[0];
    assert.deepEqual([parsedNumber(rank, ' 4 '), parsedNumber(rank, '')], [4, undefined]);
    for (const wrong of ['0', '1.5', 'x', '1e9'])
      assert.throws(() => parsedNumber(rank, wrong), /whole number from 1 to 1000000/);
    assert.throws(() => parsedNumber({ ...rank, optional: false }, ''), /whole number/);
    assert.deepEqual(parsedGlobs(' *.q_proj.*, layers.1.* '), ['*.q_proj.*', 'layers.1.*']);
  });

  it('name the result beside its source, and see what it would replace', () => {
    assert.equal(nameFor('/w/german/adapter_model.safetensors', 'cleaned', 'adapter'), 'german-cleaned');
    assert.equal(placeFor('/w/german/adapter_model.safetensors', 'x'), '/w/x');
    assert.equal(placeFor('/w/model.safetensors', 'x'), '/w/x');
    assert.equal(placeFor(PATH, '/y/x'), '/y/x');
    assert.deepEqual([nameProblem(' '), nameProblem('../x'), nameProblem('a/x')].map(Boolean), [true, true, false]);
    const out = folder.path('out');
    assert.deepEqual(inTheWay(out, 'adapter'), []);
    mkdirSync(`${out}/base`, { recursive: true });
    writeFileSync(`${out}/adapter_config.json`, '{}');
    assert.deepEqual(inTheWay(out, 'adapter'), [`${out}/adapter_config.json`]);
    assert.deepEqual(inTheWay(out, 'pair'), [`${out}/base`]);
    assert.deepEqual(inTheWay(`${out}/adapter_config.json`, 'file'), [`${out}/adapter_config.json`]);
  });

  it('end in a sentence and a table of all layers', () => {
    const written = extractionReport({
      ...extraction,
      out: '/w/tuned-lora',
      totals: { ...extraction.totals, bytes: 80, measuredError: 0.61 },
    });
    assert.equal(
      written.sentence,
      'tuned-lora: 20 parameters for 1 matrices, 80 bytes; 61 % of the difference is left. Mind this.',
    );
    assert.match(written.document, /\n\| q \| 10 % \| 96\.2 % \| 1 \| 2 \| 60 % \| – \|\n/);
    const cleaned = writtenReport(
      {
        ...{ format: 'rankscope.loraWritten/1', kind: 'clean', out: '/w/c', bytes: 8, remarks: [] },
        ...{ parametersBefore: 4, parametersAfter: 4 },
        layers: [
          { name: 'a|b', rankBefore: 2, rank: 2, error: null, intruders: [{ singularValue: 3.25, cosine: 0.111 }] },
        ],
      },
      '/w/a',
    );
    assert.equal(cleaned.sentence, 'c: 4 parameters, 8 bytes.');
    assert.match(cleaned.document, /\n\| a\\\|b \| 2 \| 2 \| 3\.25 \(0\.11\) \|\n$/);
    const made = initializationReport({
      ...{ format: 'rankscope.initialization/1', path: '/w/m', adapter: '/w/p/adapter', base: '/w/p/base' },
      ...{ parameters: 8, bytes: 32, remarks: [] },
      matrices: [{ name: 'q', shape: [2, 2], rank: 2, energy: 0.5, onInputs: false }],
    });
    assert.match(made.document, /\| q \| 2 x 2 \| 2 \| 50 % \| W \|/);
  });
});
