import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '../../../../src/base/random.ts';
import type { ExtractRequest } from '../../../../src/model/lora/extraction.ts';
import { choiceText, extractPreview, usualChoices } from '../../../../src/model/lora/extractPreview.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { python } from '../../formats/python.ts';
import { f32File } from '../../formats/safetensorsBytes.ts';

const SCRIPT = readFileSync(new URL('../../../python/lora_extracted.py', import.meta.url), 'utf8');
const CLI = fileURLToPath(new URL('../../../../dist/cli.js', import.meta.url));

type Tensors = Record<string, { shape: number[]; values: number[] }>;
const LAYER = 'model.layers.0.self_attn.';

/** A layer with q (16 x 12) and k (8 x 12), a table of embeddings and a norm; `step` moves q by a matrix of rank 2. */
function model(step: number): Tensors {
  const random = seededRandom(7);
  const normal = (...shape: number[]) => ({
    shape,
    values: Array.from({ length: shape.reduce((all, size) => all * size, 1) }, () => random.normal()),
  });
  const tensors = {
    'model.embed_tokens.weight': normal(20, 12),
    [`${LAYER}q_proj.weight`]: normal(16, 12),
    [`${LAYER}k_proj.weight`]: normal(8, 12),
    'model.norm.weight': normal(12),
  };
  const [left, right] = [normal(16, 2).values, normal(2, 12).values];
  const q = tensors[`${LAYER}q_proj.weight`]!.values;
  for (let at = 0; at < q.length; at++)
    for (let k = 0; k < 2; k++) q[at]! += step * left[Math.floor(at / 12) * 2 + k]! * right[k * 12 + (at % 12)]!;
  return tensors;
}

describe('rankscope lora extract', function () {
  this.timeout(180_000);
  const folder = testFolder();
  const write = (name: string, tensors: Tensors) => folder.write(`${name}.safetensors`, f32File(tensors));
  const service = createService({});
  after(() => service.close());
  const extract = (tuned: string, request: Partial<ExtractRequest> = {}) => {
    const base = write('base', model(0));
    return service.loraExtract({ base, tuned, engine: 'wasm', threads: 1, ...request });
  };

  it('gives adapters that PEFT loads, and whose merged models have the predicted errors', function () {
    const errors = python(this, ['torch', 'peft', 'transformers'], SCRIPT, folder.path(), process.execPath, CLI);
    const found = Object.entries(errors as Record<string, number>);
    assert.ok(found.length >= 20);
    for (const [name, error] of found) assert.ok(error < 1e-5, `${name}: ${error}`);
  });

  it('finds the rank of a difference, leaves equal matrices out, and tells what it does not hold', async () => {
    const tensors = model(0.1);
    tensors['model.norm.weight']!.values[3]! += 1;
    const { matrices, others, unchanged, totals, remarks, out } = await extract(write('tuned', tensors));
    assert.deepEqual(
      matrices.map(({ name, rank, aboveRounding }) => [name, rank, aboveRounding]),
      [[`${LAYER}q_proj.weight`, 2, 2]],
    );
    assert.deepEqual([unchanged, out, totals.parameters], [2, null, 2 * (16 + 12)]);
    assert.equal(others[0]!.kind, 'norm');
    assert.equal(others[0]!.module, 'model.norm');
    // The squared error is that of the norm, whose difference is 1.
    assert.ok(Math.abs(totals.predictedError * totals.norm - 1) < 1e-5);
    assert.match(remarks[0]!, /1 tensors that LoRA does not hold differ too/);
  });

  it('tells beforehand what each choice would give, as the extraction itself does', async () => {
    const tensors = model(0.1);
    tensors['model.norm.weight']!.values[3]! += 1;
    const k = tensors[`${LAYER}k_proj.weight`]!.values;
    for (let at = 0; at < k.length; at++) k[at]! += 0.05 * Math.sin(at * at);
    const tuned = write('tuned', tensors);
    const all = await extract(tuned, { values: true });
    assert.deepEqual(
      all.matrices.map(({ values }) => values?.length),
      [12, 8],
    );
    const choices = [...usualChoices(all), { target: { by: 'parameters', value: 150 } } as const];
    assert.ok(choices.length > 10);
    for (const [modulesToSave, mostRank] of [
      [false, 12],
      [true, 3],
    ] as const)
      for (const choice of choices) {
        const preview = extractPreview(all, { ...choice, mostRank }, modulesToSave);
        const { matrices, totals } = await extract(tuned, { ...choice, mostRank, modulesToSave });
        const ranks = matrices.map(({ rank }) => rank);
        assert.deepEqual(preview.ranks, [Math.min(...ranks), Math.max(...ranks)], choiceText(choice));
        assert.equal(preview.parameters, totals.parameters, choiceText(choice));
        assert.ok(Math.abs(preview.predictedError - totals.predictedError) < 1e-5, choiceText(choice));
      }
    assert.throws(() => extractPreview(all, { target: { by: 'parameters', value: 5 } }, false), /takes 48/);
  });

  it('refuses models that are no two states of one, each with its reason, and writes nothing', async () => {
    const q = `${LAYER}q_proj.weight`;
    const other = model(0);
    const values = Array<number>(16 * 11).fill(1);
    const nan = model(0.1);
    nan[q]!.values[13] = Number.NaN;
    const { [`${LAYER}k_proj.weight`]: _, ...half } = model(0.1);
    const optimizer = Object.fromEntries(
      Object.entries(model(0)).map(([name, tensor]) => [`state.${name}.exp_avg`, tensor]),
    );
    for (const [tensors, pattern] of [
      [{ ...other, [q]: { shape: [16, 11], values } }, /q_proj\.weight is 16 x 11, that of the base is 16 x 12/],
      [{ 'h.0.mlp.weight': { shape: [4, 4], values: Array<number>(16).fill(1) } }, /none of its matrices is in/],
      [nan, /q_proj\.weight: entry \[1, 1\] is NaN in .*wrong\.safetensors/],
      [half, /it lacks 1 matrices of .*, such as model\.layers\.0\.self_attn\.k_proj\.weight/],
      [optimizer, /state of an optimizer/],
      [model(0), /it is equal to/],
    ] as const) {
      const out = folder.path('refused');
      await assert.rejects(extract(write('wrong', tensors as Tensors), { out }), pattern);
      assert.ok(!existsSync(`${out}/adapter_config.json`));
    }
  });

  it('never replaces an adapter without being told to, and refuses a target that means nothing', async () => {
    const [tuned, out] = [write('tuned', model(0.1)), folder.path('adapter')];
    const target = { by: 'rank', value: 1 } as const;
    const written = await extract(tuned, { out, target });
    assert.ok(Math.abs(written.totals.measuredError! - written.totals.predictedError) < 1e-5);
    await assert.rejects(extract(tuned, { out, target }), /there is a file of this name/);
    await extract(tuned, { out, target, overwrite: true });
    for (const [wrong, pattern] of [
      [{ target: { by: 'energy', value: 1.5 } }, /energy 1\.5/],
      [{ target: { by: 'rank', value: 0 } }, /rank 0/],
      [{ target: { by: 'parameters', value: 5 } }, /rank 1 of all changed matrices takes 28/],
      [{ spread: 'all' }, /without a target/],
      [{ tensors: ['nothing*'] }, /no layer that LoRA adapts differs/],
    ] as const)
      await assert.rejects(extract(tuned, wrong as Partial<ExtractRequest>), pattern);
  });
});
