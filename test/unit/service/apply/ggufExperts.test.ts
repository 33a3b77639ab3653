import assert from 'node:assert/strict';
import { seededRandom } from '../../../../src/base/random.ts';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { ggufBytes, text } from '../../formats/gguf/ggufBytes.ts';
import { readAll, withCheckpoint } from '../../formats/readAll.ts';

const [EXPERTS, INNER, WIDTH] = [4, 24, 32];
const Q8_0 = 8;
const STRING = 8;

/** Values and their blocks of 32 with a scale of 2^-4 (0x2c00 as a half) and codes, which are exact. */
function quantized(count: number) {
  const random = seededRandom(11);
  const codes = Int8Array.from({ length: count }, () => Math.round(40 * random.normal()));
  const blocks = Array.from({ length: count / 32 }, (_, block) =>
    Buffer.concat([Buffer.from([0x00, 0x2c]), Buffer.from(codes.slice(32 * block, 32 * block + 32).buffer)]),
  );
  return { data: Buffer.concat(blocks), values: Array.from(codes, (code) => code / 16) };
}

describe('a plan for the experts of a GGUF file', () => {
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());

  /** What is written where two of the experts are cut. */
  async function applied(architecture: string) {
    const stack = quantized(EXPERTS * INNER * WIDTH);
    const metadata = [['general.architecture', STRING, text(architecture)]] as const;
    const tensors = [
      { name: 'blk.0.ffn_gate_exps.weight', dimensions: [WIDTH, INNER, EXPERTS], type: Q8_0, data: stack.data },
    ];
    const path = folder.write('model.gguf', ggufBytes({ metadata, tensors }));
    const out = folder.path('out.safetensors');
    const overrides = { 'blk.0.ffn_gate_exps.weight[0]': 3, 'blk.0.ffn_gate_exps.weight[2]': 5 };
    const request = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 1 }, exclude: ['*'], overrides } as const;
    const plan = await service.plan({ path, request });
    const { bytesAfter } = await service.estimateApply({ path, plan, out });
    const report = await service.apply({ path, plan, out, smokeTest: false });
    assert.equal(report.bytesAfter, bytesAfter);
    for (const { name, measuredError, predictedError } of report.matrices)
      assert.ok(Math.abs(measuredError - predictedError) < 0.01, `${name}: ${measuredError}, not ${predictedError}`);
    const types = await withCheckpoint(out, async (checkpoint) => checkpoint.tensors.map(({ dtype }) => dtype));
    assert.deepEqual([...new Set(types)], ['BF16']);
    return {
      expert: (k: number) => stack.values.slice(k * INNER * WIDTH, (k + 1) * INNER * WIDTH),
      found: await withCheckpoint(out, readAll),
    };
  }

  it('writes each with the name that it has in Hugging Face’s models, decoded where it stays dense', async () => {
    const { expert, found } = await applied('qwen3moe');
    const module = (k: number) => `model.layers.0.mlp.experts.${k}.gate_proj`;
    assert.deepEqual(Object.keys(found).sort(), [
      `${module(0)}.lowrank_a.weight`,
      `${module(0)}.lowrank_b.weight`,
      `${module(1)}.weight`,
      `${module(2)}.lowrank_a.weight`,
      `${module(2)}.lowrank_b.weight`,
      `${module(3)}.weight`,
    ]);
    assert.deepEqual(found[`${module(3)}.weight`], expert(3));
  });

  it('writes those of an architecture that is not known beside each other under the name of the stack', async () => {
    const { expert, found } = await applied('unheard-of');
    const module = (k: number) => `blk.0.ffn_gate_exps.weight.experts.${k}`;
    assert.deepEqual(Object.keys(found).sort(), [
      `${module(0)}.lowrank_a.weight`,
      `${module(0)}.lowrank_b.weight`,
      `${module(1)}.weight`,
      `${module(2)}.lowrank_a.weight`,
      `${module(2)}.lowrank_b.weight`,
      `${module(3)}.weight`,
    ]);
    assert.deepEqual(found[`${module(1)}.weight`], expert(1));
  });
});
