import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import type { ApplyRequest } from '../../../../src/protocol/service.ts';
import { OpenCheckpoints } from '../../../../src/service/checkpoints/opened.ts';
import { Devices } from '../../../../src/service/devices/devices.ts';
import { smokeTest } from '../../../../src/service/generate/smokeTest.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { valuesOf } from '../../network/decoders.ts';
import { LLAMA, type ModelFiles, writeModel } from './models.ts';

describe('a checkpoint that was written', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());

  const applied = async (model: ModelFiles, more: Partial<ApplyRequest> = {}, signal?: AbortSignal) => {
    const path = writeModel(folder.path('model'), model);
    const request = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.5 } } as const;
    const plan = await service.plan({ path, request, threads: 1 });
    const out = folder.path('written/smaller.safetensors');
    folder.write('written/readme.txt', '');
    return { path, ...(await service.apply({ path, plan, out, threads: 1, ...more }, signal ? { signal } : {})) };
  };

  it('is read again and continues a prompt beside the model', async () => {
    const { path, out, smokeTest: trial } = await applied({});
    assert.ok(trial && 'generation' in trial, JSON.stringify(trial));
    const { generation } = trial;
    assert.deepEqual([generation.path, generation.variant!.name], [path, 'smaller.safetensors']);
    // Only the file tells the factors: another one gives another text.
    const { variant } = await service.generate({ path, prompt: generation.prompt.text!, tokens: 32, file: out });
    assert.deepEqual(generation.variant!.ids, variant!.ids);
    assert.equal(generation.dense.ids.length, 32);
  });

  it('begins with the start token where there is no tokenizer', async () => {
    const { smokeTest: trial } = await applied({ files: {} });
    assert.ok(trial && 'generation' in trial, JSON.stringify(trial));
    assert.deepEqual([trial.generation.prompt.ids, trial.generation.dense.text], [[1], null]);
  });

  it('is not tried where that is left out', async () => {
    assert.equal((await applied({}, { smokeTest: false })).smokeTest, null);
  });

  it('is complete, and the reason is said, where the network is not known', async () => {
    const { out, smokeTest: trial } = await applied({ config: { model_type: 'mamba' } });
    assert.ok(trial && 'leftOut' in trial);
    assert.match(trial.leftOut, /"mamba"/);
    assert.ok(existsSync(out));
  });

  it('is said to be wrong where its weights compute nothing', async () => {
    const checkpoints = new OpenCheckpoints();
    const devices = new Devices(() => undefined);
    try {
      const path = writeModel(folder.path('model'));
      const values = (name: string, shape: readonly number[]) =>
        valuesOf(LLAMA.seed, name, shape).map((value) => (name.includes('0.mlp.down') ? Number.NaN : value));
      const out = writeModel(folder.path('broken'), { values });
      const trial = await checkpoints.use(path, undefined, (opened) =>
        smokeTest(devices, checkpoints, { opened, out, request: { path } }, {}),
      );
      assert.ok('failed' in trial, JSON.stringify(trial));
      assert.match(trial.failed, /layers\.0\.mlp\.down_proj.*NaN/);
    } finally {
      await Promise.all([checkpoints.close(), devices.close()]);
    }
  });

  it('is complete where the test is stopped', async () => {
    const path = writeModel(folder.path('model'));
    const request = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.5 } } as const;
    const plan = await service.plan({ path, request, threads: 1 });
    const out = folder.path('smaller.safetensors');
    const controller = new AbortController();
    const progress = ({ message }: { message: string }) => {
      if (message.startsWith('the dense network')) controller.abort();
    };
    const { signal } = controller;
    const report = await service.apply({ path, plan, out, threads: 1 }, { signal, progress });
    assert.deepEqual(report.smokeTest, { leftOut: 'it was stopped' });
    assert.equal(statSync(out).size, report.bytesAfter);
  });

  it('is not tried by itself if the model is large, and the command is said', async () => {
    const checkpoints = new OpenCheckpoints();
    const devices = new Devices(() => undefined);
    try {
      const path = writeModel(folder.path('model'));
      const written = { out: 'smaller.safetensors', request: { path }, mostParameters: 1000 };
      const trial = await checkpoints.use(path, undefined, (opened) =>
        smokeTest(devices, checkpoints, { opened, ...written }, {}),
      );
      assert.ok('leftOut' in trial);
      assert.match(trial.leftOut, /parameters.* rankscope generate .*model\.safetensors .*--file smaller\.safetensors/);
    } finally {
      await Promise.all([checkpoints.close(), devices.close()]);
    }
  });
});
