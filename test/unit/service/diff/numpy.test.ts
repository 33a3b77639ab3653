import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { python } from '../../formats/python.ts';
import { f32File } from '../../formats/safetensorsBytes.ts';
import { noise } from '../matrices.ts';

const SCRIPT = readFileSync(new URL('../../../python/diff_models.py', import.meta.url), 'utf8');

describe('numbers of a diff', function () {
  this.timeout(120_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());

  it('are those of numpy in float64: changes, spectra, ranks, angles and heads', async function () {
    const shapes = { q_proj: [48, 40], k_proj: [24, 40], v_proj: [24, 40], o_proj: [40, 48] } as const;
    const model = (name: string, change: number) => {
      const tensors = Object.entries(shapes).map(([module, [rows, cols]], index) => {
        const [own, moved] = [noise(rows, cols, index + 1).values, noise(rows, cols, index + 50).values];
        // Directions of different strength, so that the leading subspaces are told apart.
        const values = own.map((value, at) => value * 0.9 ** (at % cols) + change * moved[at]!);
        return [`model.layers.0.self_attn.${module}.weight`, { shape: [rows, cols], values: [...values] }] as const;
      });
      folder.write(`${name}/config.json`, JSON.stringify({ num_attention_heads: 6, num_key_value_heads: 3 }));
      return folder.write(`${name}/model.safetensors`, f32File(Object.fromEntries(tensors)));
    };
    const [base, other] = [model('base', 0), model('other', 0.05)];
    const request = { base, other, subspace: 6, engine: 'cpu', threads: 1 };
    const [whole, heads] = [folder.path('spectra.json'), folder.path('heads.json')];
    writeFileSync(whole, JSON.stringify(await service.diff({ ...request, spectra: true })));
    writeFileSync(heads, JSON.stringify(await service.diff(request)));
    const errors = python(this, ['numpy', 'safetensors'], SCRIPT, whole, base, other, heads) as Record<string, number>;
    const bounds: Record<string, number> = { 'angles in degrees': 0.02, 'mean angle in degrees': 0.01 };
    for (const [measure, error] of Object.entries(errors))
      assert.ok(error <= (bounds[measure] ?? 2e-5), `${measure}: ${error}`);
    assert.ok(Object.keys(errors).length >= 15);
  });
});
