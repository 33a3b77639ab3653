import assert from 'node:assert/strict';
import { elementCount } from '../../../src/base/shape.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { countParameters } from '../../../src/checkpoint/ties.ts';
import { anatomy } from '../../../src/model/names/anatomy.ts';
import type { Plan } from '../../../src/model/plan/plan.ts';
import type { Opened } from '../../../src/service/checkpoints/opened.ts';
import { rewrittenModel } from '../../../src/service/plan/rewrittenModel.ts';
import { testFolder } from '../formats/folder.ts';
import { f32s, ggufBytes, text } from '../formats/gguf/ggufBytes.ts';
import { f32, fileOf } from '../formats/storedFile.ts';

const REQUEST: Plan['request'] = {
  budget: { kind: 'keep', value: 0.5 },
  spread: 'optimal',
  multiple: 1,
  exclude: [],
  overrides: {},
  factors: 2,
};

describe('the model that a plan is applied to', () => {
  const folder = testFolder();

  async function left(file: string, ties: readonly (readonly string[])[], rank: number | null = null) {
    const checkpoint = await openCheckpoint(file);
    const opened = { checkpoint, anatomy: anatomy(checkpoint.tensors) } as Opened;
    const matrices = opened.anatomy.matrices.map(({ name, shape }) => ({
      name,
      shape,
      rank,
      parametersBefore: shape[0] * shape[1],
      parametersAfter: shape[0] * shape[1],
      error: 0,
    }));
    const parameters = countParameters(checkpoint.tensors, ties);
    const plan = {
      format: 'rankscope.plan/1',
      checkpoint: { path: file, parameters, bytes: checkpoint.bytes },
      request: REQUEST,
      matrices,
      totals: {
        parametersBefore: 0,
        parametersAfter: 0,
        bytesBefore: 0,
        bytesAfter: 0,
        error: 0,
        keptShare: 1,
        keptShareOfModel: 1,
      },
    } as Plan;
    await checkpoint.close();
    return rewrittenModel(opened, plan, ties);
  }

  it('names every expert of a GGUF mixture of experts, planned and tied', async () => {
    const tensor = (name: string, ...shape: number[]) => ({
      name,
      dimensions: shape.toReversed(),
      type: 0,
      data: f32s(...Array.from({ length: elementCount(shape) }, (_, i) => i)),
    });
    const file = folder.write(
      'experts.gguf',
      ggufBytes({
        metadata: [['general.architecture', 8, text('qwen3moe')]],
        tensors: [
          tensor('token_embd.weight', 6, 4),
          tensor('blk.0.ffn_up_exps.weight', 2, 3, 4),
          tensor('blk.1.ffn_up_exps.weight', 2, 3, 4),
          tensor('rope_freqs.weight', 2),
        ],
      }),
    );
    const { checkpoint, matrices, plan, ties } = await left(file, [
      ['blk.0.ffn_up_exps.weight', 'blk.1.ffn_up_exps.weight'],
    ]);
    const name = (layer: number, expert: number) => `model.layers.${layer}.mlp.experts.${expert}.up_proj.weight`;
    const experts = [name(0, 0), name(0, 1), name(1, 0), name(1, 1)];
    assert.deepEqual(
      checkpoint.tensors.map((each) => each.name),
      ['model.embed_tokens.weight', ...experts],
    );
    assert.deepEqual(
      plan.matrices.map((each) => each.name),
      matrices.map((each) => each.name),
    );
    assert.deepEqual(ties, [
      [name(0, 0), name(1, 0)],
      [name(0, 1), name(1, 1)],
      ['model.embed_tokens.weight', 'lm_head.weight'],
    ]);
    assert.equal(plan.checkpoint.parameters, countParameters(checkpoint.tensors, ties));
  });

  it('is described as cutting the head that its configuration ties to the embedding', async () => {
    folder.write('config.json', JSON.stringify({ architectures: ['LlamaForCausalLM'], tie_word_embeddings: true }));
    const numbers = Array.from({ length: 32 }, (_, i) => i);
    const file = folder.write('model.safetensors', fileOf({ 'model.embed_tokens.weight': f32([8, 4], numbers) }));
    const { remarks } = await left(file, [], 1);
    assert.match(remarks.join(), /also cuts the head lm_head\.weight/);
    assert.deepEqual((await left(file, [])).remarks, []);
  });

  it('leaves a checkpoint of another format unchanged', async () => {
    const file = folder.write('model.safetensors', fileOf({ 'blk.0.attn_q.weight': f32([2, 2], [1, 2, 3, 4]) }));
    const { checkpoint, plan, remarks } = await left(file, []);
    assert.deepEqual(checkpoint.tensors[0]!.name, 'blk.0.attn_q.weight');
    assert.deepEqual(plan.matrices[0]!.name, 'blk.0.attn_q.weight');
    assert.deepEqual(remarks, []);
  });
});
