import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { PlanRequest } from '../../../src/model/plan/plan.ts';
import { createService } from '../../../src/service/service.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { testFolder } from '../formats/folder.ts';
import { python } from '../formats/python.ts';
import { readAll, withCheckpoint } from '../formats/readAll.ts';

/**
 * Most of it stays; a q and a k are among what becomes factors, since their rows stand in another order in the file.
 */
const GENTLE: PlanRequest = {
  budget: { kind: 'keep', value: 0.97 },
  spread: 'optimal',
  multiple: 1,
  exclude: ['*'],
  overrides: { 'blk.0.attn_q.weight': 31, 'blk.2.attn_k.weight': 21, 'blk.4.ffn_down.weight': 46 },
  factors: 2,
};

describe('a plan applied to a GGUF file', function () {
  this.timeout(180_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());

  async function applied(source: string, request: PlanRequest) {
    const plan = await service.plan({ path: source, request });
    const [out, code] = [folder.path('small.safetensors'), folder.path('small.py')];
    return { out, code, report: await service.apply({ path: source, plan, out, code }) };
  }

  it('writes a model that computes what the Hugging Face checkpoint computes with the same factors', async function () {
    const source = checkpointPath(this, 'stories260K-gguf/stories260K.F32.gguf');
    const hub = checkpointPath(this, 'stories260K-hf/model.safetensors');
    python(this, ['torch', 'transformers', 'safetensors'], 'import torch, transformers, safetensors');
    const { report, out, code } = await applied(source, GENTLE);
    assert.deepEqual(
      report.matrices.map(({ name }) => name),
      [
        'model.layers.0.self_attn.q_proj.weight',
        'model.layers.2.self_attn.k_proj.weight',
        'model.layers.4.mlp.down_proj.weight',
      ],
    );
    assert.match(report.remarks!.join(), /lm_head\.weight.*\(tied\)/);
    assert.match(readFileSync(code, 'utf8'), /AutoConfig\.from_pretrained\(".", gguf_file="stories260K\.F32\.gguf"\)/);
    const answer = JSON.parse(
      execFileSync(
        process.env.RANKSCOPE_PYTHON!,
        [resolve('test/python/run_generated.py'), 'stories260K', hub, out, code],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
      ),
    ) as { scale: number; logits: number; changed: number };
    assert.ok(answer.logits <= 1e-5 * answer.scale, `${answer.logits} of ${answer.scale}`);
    // Rows in llama.cpp's order would make another model of it: there the logits change by half of their own size.
    assert.ok(answer.changed <= 0.2 * answer.scale, `${answer.changed} of ${answer.scale}`);
    const expected = await withCheckpoint(hub, readAll);
    const written = await withCheckpoint(out, readAll);
    const carried = Object.keys(written).filter((name) => !name.includes('.lowrank_'));
    assert.ok(carried.some((name) => name.endsWith('self_attn.q_proj.weight')));
    for (const name of carried) assert.deepEqual(written[name], expected[name], name);
  });
});
