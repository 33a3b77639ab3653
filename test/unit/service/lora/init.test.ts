import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '../../../../src/base/random.ts';
import type { InitRequest } from '../../../../src/model/lora/initialization.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { python } from '../../formats/python.ts';
import { f32File } from '../../formats/safetensorsBytes.ts';

const SCRIPT = readFileSync(new URL('../../../python/lora_initialized.py', import.meta.url), 'utf8');
const CLI = fileURLToPath(new URL('../../../../dist/cli.js', import.meta.url));
const NAME = 'model.layers.0.self_attn.q_proj.weight';

describe('rankscope lora init', function () {
  this.timeout(180_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());

  const init = (name: string, request: Partial<InitRequest> = {}) => {
    const path = folder.path('model');
    mkdirSync(path, { recursive: true });
    const random = seededRandom(3);
    const values = Array.from({ length: 96 }, () => random.normal());
    writeFileSync(
      join(path, 'model.safetensors'),
      f32File({ [NAME]: { shape: [12, 8], values }, 'model.norm.weight': { shape: [8], values: values.slice(0, 8) } }),
    );
    writeFileSync(join(path, 'config.json'), '{"model_type": "llama", "rms_norm_eps": 1.0}');
    writeFileSync(join(path, 'tokenizer.json'), '{}');
    return service.loraInit({ path, out: folder.path(name), rank: 3, engine: 'wasm', threads: 1, ...request });
  };

  it('gives the adapters and bases of PEFT, and components of W X with the least error on the inputs', function () {
    const errors = python(this, ['torch', 'peft', 'transformers'], SCRIPT, folder.path(), process.execPath, CLI);
    const found = Object.entries(errors as Record<string, number>);
    assert.equal(found.length, 13);
    // Singular vectors in f32 are off by the rounding over the gaps of the singular values.
    for (const [name, error] of found) assert.ok(error < 1e-4, `${name}: ${error}`);
  });

  it('writes a base that merges with its adapter to the model, in a folder with all that belongs to it', async () => {
    const { adapter, base, matrices } = await init('pissa', { alpha: 6 });
    assert.deepEqual(
      matrices.map(({ name, rank }) => [name, rank]),
      [[NAME, 3]],
    );
    assert.ok(existsSync(join(base, 'tokenizer.json')));
    assert.match(readFileSync(join(base, 'config.json'), 'utf8'), /"rms_norm_eps": 1\.0/);
    const out = folder.path('merged.safetensors');
    await service.loraWrite({ kind: 'into', base, path: adapter, out });
    const difference = await service.diff({ base: folder.path('model'), other: out });
    assert.ok(difference.totals.change! < 1e-6);
    const residual = await service.diff({ base: folder.path('model'), other: base });
    assert.ok(Math.abs(residual.totals.change! ** 2 - matrices[0]!.energy * shareOf(residual)) < 1e-5);
  });

  it('replaces nothing unless told to, takes all of a small matrix, and refuses what it cannot split', async () => {
    await init('pissa');
    await assert.rejects(init('pissa'), /pissa\/base: it exists/);
    const whole = await init('pissa', { overwrite: true, rank: 64 });
    assert.equal(whole.matrices[0]!.rank, 8);
    assert.match(whole.remarks[1]!, /no rank of 64/);
    await assert.rejects(init('other', { rank: 0 }), /rank 0/);
    await assert.rejects(init('other', { alpha: -1 }), /alpha -1/);
    await assert.rejects(init('other', { tensors: ['*norm*'] }), /no linear layer to adapt/);
  });
});

/** The share of q in the squared norm of the model. */
function shareOf({ matrices, vectors }: Awaited<ReturnType<ReturnType<typeof createService>['diff']>>): number {
  const squares = (each: { readonly differenceNorm: number; readonly change: number | null }) =>
    each.change ? (each.differenceNorm / each.change) ** 2 : 0;
  const [q] = matrices;
  // The norm is equal in both, so its size does not follow from its change: it is that of the first 8 values.
  const random = seededRandom(3);
  const norm =
    vectors.length > 0 ? Array.from({ length: 8 }, () => random.normal() ** 2).reduce((a, b) => a + b, 0) : 0;
  return squares(q!) / (squares(q!) + norm);
}
