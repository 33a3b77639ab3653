import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import type { MatrixFinding } from '../../../src/model/findings.ts';
import type { PlanRequest } from '../../../src/model/plan/plan.ts';
import { createService } from '../../../src/service/service.ts';
import { checkValues } from '../../numeric/checks.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { testFolder } from '../formats/folder.ts';
import { python } from '../formats/python.ts';
import { f32File } from '../formats/safetensorsBytes.ts';

/**
 * Singular values of scale B A in f64, of the pairs asked for: [name of B, name of A, scale]; of a list, its places.
 */
const NUMPY = `
import json, sys
import numpy as np
path, pairs = sys.argv[1], json.loads(sys.argv[2])
if path.endswith('.pt'):
    import torch
    tensors = [each.detach().numpy() for each in torch.load(path, map_location='cpu')]
else:
    from safetensors.numpy import load_file
    tensors = load_file(path)
values = []
for up, down, scale in pairs:
    b, a = np.asarray(tensors[up], dtype=np.float64), np.asarray(tensors[down], dtype=np.float64)
    values.append(np.linalg.svd(scale * b @ a, compute_uv=False).tolist())
print(json.dumps(values))
`;

type Pair = readonly [up: string | number, down: string | number, scale: number];

/** Per file: the pairs to compare, by the names of their updates. */
const REAL: Readonly<Record<string, Readonly<Record<string, Pair>>>> = {
  'lora-gpt2-tigrinya/adapter_model.safetensors': Object.fromEntries(
    ['transformer.h.0.attn.c_proj', 'transformer.h.11.attn.c_proj'].map((name) => {
      const of = (factor: string) => `base_model.model.${name}.lora_${factor}.weight`;
      return [name, [of('B'), of('A'), 4]];
    }),
  ),
  'lora-cloneofsimo/analog_svd_rank4.safetensors': {
    'text_encoder:0': ['text_encoder:0:up', 'text_encoder:0:down', 1],
    'unet:3': ['unet:3:up', 'unet:3:down', 1],
  },
  'lora-cloneofsimo/lora_illust.pt': { 'pair.0': [0, 1, 1], 'pair.2': [4, 5, 1], 'pair.3': [6, 7, 1] },
};

const FACTORS = {
  // B is diag(1, 2) over zeros and A is diag(3, 4) beside zeros: the values are 8 and 3.
  B: { shape: [5, 2], values: [1, 0, 0, 2, 0, 0, 0, 0, 0, 0] },
  A: { shape: [2, 6], values: [3, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0] },
  zeros: { shape: [3, 2], values: [0, 0, 0, 0, 0, 0] },
};

describe('an adapter', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const ofDora = testFolder();
  const service = createService({});
  after(() => service.close());
  const analysisOf = (path: string, more: object = {}) =>
    service.analyze({ path, values: true, engine: 'cpu', ...more });
  const byName = (matrices: readonly MatrixFinding[]) => new Map(matrices.map((matrix) => [matrix.name, matrix]));

  for (const [file, pairs] of Object.entries(REAL))
    it(`${file}: each update has the singular values that numpy finds of scale B A in f64`, async function () {
      const path = checkpointPath(this, file);
      const modules = ['numpy', file.endsWith('.pt') ? 'torch' : 'safetensors'];
      const truth = python(this, modules, NUMPY, path, JSON.stringify(Object.values(pairs))) as number[][];
      const found = byName((await analysisOf(path, { tensors: Object.keys(pairs) })).matrices);
      for (const [k, name] of Object.keys(pairs).entries()) {
        const { shape, singularValues, adapter } = found.get(name)!;
        const [rows, cols] = shape;
        const padded = [...singularValues!, ...Array<number>(Math.min(rows, cols) - singularValues!.length).fill(0)];
        assert.equal(singularValues!.length, adapter!.rank);
        checkValues(padded, truth[k]!, { rows, cols });
      }
    });

  it('names an adapter and its naming convention in the metadata', async () => {
    const path = folder.write(
      'named.safetensors',
      f32File({ 'm.lora_A.weight': FACTORS.A, 'm.lora_B.weight': FACTORS.B }),
    );
    const { metadata } = await service.open({ path });
    assert.equal(metadata.adapter, '1 adapted layers in the naming of peft');
  });

  it('shows a trained adapter as one matrix per layer, each in its place and with its full rank in use', async function () {
    const { matrices, skipped } = await analysisOf(checkpointPath(this, 'lora-gpt2-tigrinya'));
    assert.deepEqual([matrices.length, skipped.length], [36, 0]);
    const first = byName(matrices).get('transformer.h.0.attn.c_attn')!;
    assert.deepEqual([first.shape, first.layer, first.module], [[2304, 768], 0, 'attn.c_attn']);
    assert.deepEqual(first.adapter, { rank: 8, scale: 4, dead: false });
    for (const { effectiveRank, energyRanks, numericalRank, provenance } of matrices) {
      assert.ok(effectiveRank > 1 && effectiveRank <= 8 && energyRanks['0.999'] <= 8);
      assert.deepEqual([numericalRank, provenance], [8, 'exact']);
    }
  });

  it('reports the dead pairs of an adapter stored as a bare list of factors', async function () {
    const { matrices } = await analysisOf(checkpointPath(this, 'lora-cloneofsimo/lora_illust.pt'));
    assert.equal(matrices.length, 128);
    assert.equal(matrices.filter(({ adapter }) => adapter?.dead).length, 32);
  });

  const write = (names: readonly [up: string, down: string], more: object = {}) =>
    folder.write('adapter_model.safetensors', f32File({ [names[0]]: FACTORS.B, [names[1]]: FACTORS.A, ...more }));
  const PEFT = ['base_model.model.x.lora_B.weight', 'base_model.model.x.lora_A.weight'] as const;

  for (const [kind, config, scale] of [
    ['LoRA', { r: 2, lora_alpha: 8 }, 4],
    ['rsLoRA', { r: 2, lora_alpha: 8, use_rslora: true }, 8 / Math.sqrt(2)],
  ] as const)
    it(`${kind}: has the singular values of scale B A, and counts the zeros in its measures`, async () => {
      const path = write(PEFT);
      folder.write('adapter_config.json', JSON.stringify(config));
      const [found, ...others] = (await analysisOf(path)).matrices;
      assert.deepEqual([found!.name, found!.shape, others], ['x', [5, 6], []]);
      assert.deepEqual(found!.adapter, { rank: 2, scale, dead: false });
      checkValues(found!.singularValues!, [8 * scale, 3 * scale], { rows: 5, cols: 6 });
      const { numericalRank, noiseRank, noiseDeviation, optimalThresholdRank, breakEvenRank } = found!;
      assert.deepEqual(
        [numericalRank, noiseRank, noiseDeviation, optimalThresholdRank, breakEvenRank],
        [2, 2, 0, 2, 2],
      );
    });

  it('takes the alpha beside each pair of a kohya adapter, and reports DoRA', async () => {
    const path = write(['lora_x.lora_up.weight', 'lora_x.lora_down.weight'], {
      'lora_x.alpha': { shape: [], values: [1] },
      'lora_x.dora_scale': { shape: [5, 1], values: [1, 1, 1, 1, 1] },
    });
    const [found, ...others] = (await analysisOf(path)).matrices;
    assert.deepEqual(found!.adapter, { rank: 2, scale: 0.5, dead: false, dora: true });
    assert.deepEqual(others, []);
  });

  it('counts the magnitudes of a DoRA adapter as read, and not as a part of an unknown method', async () => {
    ofDora.write('adapter_config.json', JSON.stringify({ peft_type: 'LORA', r: 2, lora_alpha: 2, use_dora: true }));
    const magnitude = { 'base_model.model.x.lora_magnitude_vector': { shape: [5], values: [1, 1, 1, 1, 1] } };
    const path = ofDora.write(
      'adapter_model.safetensors',
      f32File({ [PEFT[0]]: FACTORS.B, [PEFT[1]]: FACTORS.A, ...magnitude }),
    );
    const { matrices, skipped } = await analysisOf(path);
    assert.deepEqual([matrices.map(({ name, adapter }) => [name, adapter?.dora]), skipped], [[['x', true]], []]);
  });

  it('has no more values than the smaller side of the matrix', async () => {
    const wide = { shape: [1, 2], values: [3, 4] };
    const path = folder.write('a.safetensors', f32File({ [PEFT[0]]: wide, [PEFT[1]]: FACTORS.A }));
    const [found] = (await analysisOf(path)).matrices;
    assert.equal(found!.singularValues!.length, 1);
    checkValues(found!.singularValues!, [Math.hypot(9, 16)], { rows: 1, cols: 6 });
  });

  it("shows an update beside a model's weights, always exact and counted once in every mode", async () => {
    const base = { 'base_model.model.x.base_layer.weight': { shape: [3, 3], values: [1, 2, 3, 4, 5, 6, 7, 8, 10] } };
    const path = write(PEFT, base);
    for (const mode of ['preview', 'both'] as const) {
      const steps: number[] = [];
      const { matrices } = await service.analyze(
        { path, engine: 'cpu', mode },
        { progress: ({ done, total }) => steps.push(done / total) },
      );
      assert.deepEqual(
        matrices.map(({ name, adapter, provenance }) => [name, adapter?.rank, provenance]),
        [
          ['x', 2, 'exact'],
          ['base_model.model.x.base_layer.weight', undefined, mode === 'both' ? 'exact' : 'preview'],
        ],
      );
      assert.equal(steps.at(-1), 1);
    }
  });

  it('skips an update with NaN in a factor by name, and reports an all-zero factor as a dead pair', async () => {
    const broken = { shape: [3, 2], values: [0, 0, 0, Number.NaN, 0, 0] };
    const path = write(PEFT, {
      'base_model.model.y.lora_A.weight': FACTORS.A,
      'base_model.model.y.lora_B.weight': broken,
      'base_model.model.z.lora_A.weight': FACTORS.A,
      'base_model.model.z.lora_B.weight': FACTORS.zeros,
    });
    const { matrices, skipped } = await analysisOf(path);
    assert.deepEqual(
      matrices.map(({ name, adapter }) => [name, adapter?.dead]),
      [
        ['x', false],
        ['z', true],
      ],
    );
    assert.deepEqual(skipped, [{ name: 'y', reason: 'entry [1, 1] of its factor B is NaN' }]);
  });

  it('refuses to plan for an adapter, with the reason', async () => {
    const request = requestFor({ kind: 'keep', value: 0.5 });
    await assert.rejects(service.plan({ path: write(PEFT), request, engine: 'cpu' }), {
      code: 'wrong-use',
      found: /adapter.*already stored as factors/,
    });
  });

  it('keeps an update in a plan for its model, and refuses a handmade plan for it', async () => {
    const square = Array.from({ length: 64 }, (_, i) => Math.sin(i * i));
    const path = write(PEFT, { 'w.weight': { shape: [8, 8], values: square } });
    const request = requestFor({ kind: 'rank', value: 1 });
    const plan = await service.plan({ path, request, engine: 'cpu' });
    const reason = 'the update of an adapter, already stored as factors';
    assert.deepEqual(
      plan.matrices.map(({ name, rank, reason: why }) => [name, rank, why]),
      [
        ['x', null, reason],
        ['w.weight', 1, undefined],
      ],
    );
    const forced = { ...plan, matrices: plan.matrices.map((matrix) => ({ ...matrix, rank: 1 })) };
    const out = folder.path('out.safetensors');
    await assert.rejects(service.apply({ path, plan: forced, out, engine: 'cpu' }), {
      code: 'wrong-use',
      found: `it cannot be replaced by factors: ${reason}`,
    });
    const { matrices } = await service.apply({ path, plan, out, engine: 'cpu' });
    assert.deepEqual(
      matrices.map(({ name }) => name),
      ['w.weight'],
    );
  });

  it("matches the schema of the command line's output", async () => {
    const analysis = await analysisOf(write(PEFT));
    const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(
      JSON.parse(readFileSync('media/schemas/analysis.schema.json', 'utf8')) as object,
    );
    assert.ok(validate(analysis), JSON.stringify(validate.errors));
  });
});

const requestFor = (budget: PlanRequest['budget']): PlanRequest => ({
  budget,
  spread: 'optimal',
  multiple: 1,
  exclude: [],
  overrides: {},
  factors: 2,
});
