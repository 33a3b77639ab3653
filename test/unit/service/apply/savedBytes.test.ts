import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { seededRandom } from '../../../../src/base/random.ts';
import type { Budget } from '../../../../src/model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { fileOf } from '../../formats/storedFile.ts';
import { noise, writeMatrices } from '../matrices.ts';

/** Each can be met by this model, and each cuts something. */
const BUDGETS: readonly Budget[] = [
  { kind: 'keep', value: 0.5 },
  { kind: 'bytes', value: 20_000 },
  { kind: 'multiplyAdds', value: 3000 },
  { kind: 'error', value: 0.5 },
  { kind: 'energy', value: 0.7 },
  { kind: 'rank', value: 9 },
  { kind: 'compressionRatio', value: 0.3 },
];

describe('the saving that a plan shows', () => {
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());

  for (const budget of BUDGETS)
    it(`is that of the written file, byte for byte, for a budget of ${budget.kind}`, async () => {
      const path = writeMatrices(folder.path('model.safetensors'), {
        'model.embed_tokens.weight': noise(96, 32, 1),
        'model.layers.0.self_attn.q_proj.weight': noise(32, 32, 2),
        'model.layers.0.mlp.up_proj.weight': noise(48, 32, 3),
        'model.layers.0.mlp.down_proj.weight': noise(32, 48, 4),
      });
      const out = folder.path(`${budget.kind}.safetensors`);
      const plan = await service.plan({ path, request: { ...PLAN_DEFAULTS, budget } });
      await service.apply({ path, plan, out, smokeTest: false });
      const { totals, unmet } = plan;
      assert.equal(unmet, undefined);
      assert.ok(totals.bytesAfter < totals.bytesBefore);
      assert.equal(dataBytes(path) - dataBytes(out), totals.bytesBefore - totals.bytesAfter);
      // What is shown of the whole file counts a header of the most that one takes.
      const { size } = statSync(out);
      assert.ok(totals.bytesOfModel! >= size && totals.bytesOfModel! < size + 8000, `${totals.bytesOfModel}, ${size}`);
      if (budget.kind === 'bytes') assert.ok(size <= budget.value && size > 0.8 * budget.value, `${size} bytes`);
    });

  for (const dtype of ['F32', 'F8_E4M3'])
    it(`is that of the written file where experts are slices of one tensor of ${dtype}`, async () => {
      const random = seededRandom(5);
      const stack = (...shape: number[]) => {
        const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal());
        return { dtype, shape, data: dtype === 'F32' ? values : Uint8Array.from(values, (each) => 0x38 + 8 * each) };
      };
      const experts = 'model.layers.0.mlp.experts';
      const tensors = {
        [`${experts}.gate_up_proj`]: stack(4, 48, 32),
        [`${experts}.down_proj`]: stack(4, 32, 24),
        'model.layers.0.mlp.gate.weight': stack(4, 32),
      };
      const path = folder.write('model.safetensors', fileOf(tensors));
      const out = folder.path('out.safetensors');
      const overrides = Object.fromEntries(
        [0, 1, 3].map((expert) => [`${experts}.gate_up_proj[${expert}]`, 2 + expert]),
      );
      const plan = await service.plan({
        path,
        request: { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.9 }, overrides },
      });
      const estimate = await service.estimateApply({ path, plan, out });
      await service.apply({ path, plan, out, smokeTest: false });
      const { bytesBefore, bytesAfter } = plan.totals;
      assert.ok(bytesAfter < bytesBefore);
      assert.equal(dataBytes(path) - dataBytes(out), bytesBefore - bytesAfter);
      assert.equal(statSync(out).size, estimate.bytesAfter);
    });
});

/** The bytes of a safetensors file behind its header. */
function dataBytes(file: string): number {
  const bytes = readFileSync(file);
  return bytes.length - 8 - Number(bytes.readBigUInt64LE());
}
