import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { FACTOR_STYLES } from '../../../src/model/factorStyle.ts';
import { PLAN_DEFAULTS } from '../../../src/model/plan/planRequest.ts';
import { createService } from '../../../src/service/service.ts';
import { testFolder } from '../formats/folder.ts';
import { type Case, writeDecoder } from '../network/decoders.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];

describe('a file with factors in the style of others', function () {
  this.timeout(60_000);
  const folder = testFolder();

  it('is read again as the network that it is, with its biases', async () => {
    const service = createService({});
    try {
      const withBias = CASES.find((each) => Object.keys(each.tensors).some((name) => name.endsWith('q_proj.bias')))!;
      assert.ok(withBias, 'no decoder has a bias');
      const path = writeDecoder(folder.path('model'), withBias);
      const ids = folder.write('ids.txt', withBias.ids.join(' '));
      const plan = await service.plan({ path, request: { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.7 } } });
      const files = [];
      for (const style of FACTOR_STYLES) {
        const out = folder.path(`${style}.safetensors`);
        const { smokeTest } = await service.apply({ path, plan, out, style });
        assert.ok(smokeTest && 'generation' in smokeTest, JSON.stringify(smokeTest));
        files.push(out);
      }
      const { variants, dense } = await service.evaluate({ path, ids, context: 8, files });
      for (const { loss } of variants) {
        assert.equal(loss, variants[0]!.loss);
        assert.ok(Math.abs(loss - dense.loss) > 1e-4);
      }
    } finally {
      await service.close();
    }
  });

  it('is refused for a folder and for dense weights, before anything is written', async () => {
    const service = createService({});
    try {
      const path = writeDecoder(folder.path('plain'), CASES[0]!);
      const plan = await service.plan({ path, request: { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.7 } } });
      const out = folder.path('styled');
      for (const form of [{ form: 'folder' }, { dense: true }] as const)
        await assert.rejects(service.apply({ path, plan, out, style: 'uv', ...form }), { code: 'wrong-use' });
      assert.ok(!existsSync(out));
    } finally {
      await service.close();
    }
  });
});
