import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import type { TrainingReport } from '../../../../src/model/training/training.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { python } from '../../formats/python.ts';
import { f32File, type Values } from '../../formats/safetensorsBytes.ts';
import { noise } from '../matrices.ts';

const SCRIPT = readFileSync(new URL('../../../python/training_curves.py', import.meta.url), 'utf8');
const SUBSPACE = 6;
const Q = 'model.layers.0.self_attn.q_proj.weight';
const O = 'model.layers.0.self_attn.o_proj.weight';
const UP = 'model.layers.0.mlp.up_proj.weight';

describe('training curves', function () {
  this.timeout(120_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());
  const valid = new Ajv({ strict: true, allowUnionTypes: true }).compile(
    JSON.parse(readFileSync('media/schemas/training.schema.json', 'utf8')) as object,
  );
  const training = async (run: string, more: object = {}): Promise<TrainingReport> => {
    const request = { folder: folder.path(run), subspace: SUBSPACE, engine: 'cpu', threads: 1, ...more };
    const report = await service.training(request);
    assert.ok(valid(report), JSON.stringify(valid.errors));
    return report;
  };
  const tensor = (rows: number, cols: number, seed: number, moved = 0): Values => {
    const [own, other] = [noise(rows, cols, seed).values, noise(rows, cols, seed + 1).values];
    // Directions of different strength, so that the leading subspaces are told apart.
    const values = Array.from(own, (value, at) => value * 0.9 ** (at % cols) + moved * other[at]!);
    return { shape: [rows, cols], values };
  };
  const write = (name: string, tensors: Readonly<Record<string, Values>>) => {
    folder.write(`${name}/config.json`, JSON.stringify({ num_attention_heads: 4 }));
    return folder.write(`${name}/model.safetensors`, f32File(tensors));
  };
  const model = (moved: number) => ({
    [Q]: tensor(40, 32, 1, moved),
    [O]: tensor(32, 40, 3, moved),
    [UP]: tensor(64, 56, 5, moved),
  });

  it('are those of numpy in float64, by matrix and head, in the order of the steps', async function () {
    for (const [step, moved] of [
      [1000, 0.06],
      [200, 0],
      [500, 0.02],
    ] as const)
      write(`run/checkpoint-${step}`, model(moved));
    const report = await training('run');
    assert.deepEqual(
      report.steps.map(({ step }) => step),
      [200, 500, 1000],
    );
    assert.deepEqual(report.unit, 'step');
    const heads = report.matrices.map(({ name, heads: own }) => [name, own?.length]);
    assert.deepEqual(Object.fromEntries(heads), { [Q]: 4, [O]: 4, [UP]: undefined });
    // Only this one has the 50 singular values that a power law is fitted to.
    const alphas = report.matrices.map(({ name, curves }) => [name, curves.alpha.every((value) => value !== null)]);
    assert.deepEqual(Object.fromEntries(alphas), { [Q]: false, [O]: false, [UP]: true });
    const analysis = await service.analyze({ path: folder.path('run/checkpoint-500'), tensors: [UP] });
    const up = report.matrices.find(({ name }) => name === UP)!;
    assert.ok(Math.abs(up.curves.alpha[1]! - analysis.matrices[0]!.alpha!) < 1e-4);
    const file = folder.path('report.json');
    writeFileSync(file, JSON.stringify({ ...report, subspace: SUBSPACE }));
    const errors = python(this, ['numpy', 'safetensors'], SCRIPT, file) as Record<string, number>;
    assert.equal(Object.keys(errors).length, 10);
    for (const [measure, error] of Object.entries(errors))
      assert.ok(error <= (measure.startsWith('turn') ? 0.02 : 2e-5), `${measure}: ${error}`);
  });

  it('leave out what is half-written, damaged or of another shape, and say so', async () => {
    const q = (values: Values) => ({ [Q]: values, [UP]: tensor(8, 8, 9) });
    write('odd/epoch_1', q(tensor(8, 8, 1)));
    const damaged = tensor(8, 8, 1);
    write('odd/epoch_2', q({ ...damaged, values: damaged.values.map((value, at) => (at === 3 ? Number.NaN : value)) }));
    write('odd/epoch_3', q(tensor(8, 12, 1)));
    const whole = write('odd/epoch_4', q(tensor(8, 8, 3)));
    const half = readFileSync(whole);
    folder.write('odd/epoch_5/model.safetensors', half.subarray(0, half.length - 20));
    folder.write('odd/epoch_6/optimizer.pt', 'nothing');
    const report = await training('odd');
    assert.deepEqual(
      report.steps.map(({ name }) => name),
      ['epoch_1', 'epoch_2', 'epoch_3', 'epoch_4'],
    );
    const { norm, stepOut, turnOut } = report.matrices.find(({ name }) => name === Q)!.curves;
    assert.deepEqual(
      [norm, stepOut, turnOut].map((values) => values.map((value) => value === null)),
      [
        [false, true, true, false],
        [true, true, true, true],
        [false, true, true, false],
      ],
    );
    const reasons = report.skipped.map(({ name, reason }) => `${name}: ${reason}`).join('\n');
    assert.match(reasons, /q_proj\.weight: epoch_2: .*NaN/);
    assert.match(reasons, /q_proj\.weight: epoch_3: it is 8 x 12, and 8 x 8 before/);
    assert.match(reasons, /^epoch_5: /m);
    assert.match(reasons, /^epoch_6: /m);
  });

  it('follow the updates of adapters without their turn', async () => {
    for (const [step, factor] of [
      [10, 1],
      [20, 3],
    ] as const)
      folder.write(
        `lora/checkpoint-${step}/adapter_model.safetensors`,
        f32File({
          'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight': { shape: [1, 2], values: [3, 4] },
          'base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight': { shape: [2, 1], values: [factor, 0] },
        }),
      );
    const report = await training('lora');
    const [matrix] = report.matrices;
    assert.deepEqual(
      [matrix!.rank, matrix!.curves.norm.map((value) => value!.toFixed(4)), matrix!.curves.turnOut],
      [null, ['5.0000', '15.0000'], [null, null]],
    );
    assert.match(report.remarks.join(), /adapters/);
  });

  it('are taken of evenly spread checkpoints where there are many, and refused where there are too few', async () => {
    for (const step of [1, 2, 3, 4, 5]) write(`many/step${step}`, { [Q]: tensor(8, 8, step) });
    const report = await training('many', { checkpoints: 3 });
    assert.deepEqual(
      report.steps.map(({ step }) => step),
      [1, 3, 5],
    );
    assert.match(report.remarks.join(), /Of 5 checkpoints, 3 were read/);
    await assert.rejects(training('many/step1'), /no name in it tells a step or an epoch/);
    await assert.rejects(training('nowhere'), /there is no such folder/);
    await assert.rejects(training('many', { tensors: ['*.k_proj.*'] }), /no matrix matches/);
  });
});
