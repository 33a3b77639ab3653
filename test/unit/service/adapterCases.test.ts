import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createService } from '../../../src/service/service.ts';
import { python } from '../formats/python.ts';

/**
 * ||scale B A||_F of every update in f64, by file and layer, with the scales that the files and their libraries state.
 */
const TRUTH = `
import json, os, sys
import numpy as np
from safetensors.numpy import load_file
root = sys.argv[1]
found = {}
def add(case, name, update):
    found.setdefault(case, {})[name] = float(np.linalg.norm(update))
def peft(case):
    return {name.removeprefix('base_model.model.'): np.asarray(values, np.float64)
        for name, values in load_file(os.path.join(root, case, 'adapter_model.safetensors')).items()}
mlx = load_file(os.path.join(root, 'mlx_lm_adapter', 'adapters.safetensors'))
for name in mlx:
    if name.endswith('.lora_a'):
        target = name[:-7]
        add('mlx_lm_adapter', target, 20.0 * (mlx[name].astype(np.float64) @ mlx[target + '.lora_b']).T)
import torch
tune = torch.load(os.path.join(root, 'torchtune_adapter', 'adapter_0.pt'))
for name in tune:
    if name.endswith('.lora_a.weight'):
        target = name[:-14]
        add('torchtune_adapter', target, (tune[target + '.lora_b.weight'].double() @ tune[name].double()).numpy())
from gguf import GGUFReader
tensors = {tensor.name: np.asarray(tensor.data, np.float64) for tensor in GGUFReader(os.path.join(root, 'lora_adapter.gguf')).tensors}
for name in tensors:
    if name.endswith('.lora_a'):
        target = name[:-7]
        add('lora_adapter.gguf', target.removesuffix('.weight'), 16 / 4 * tensors[target + '.lora_b'] @ tensors[name])
look = peft('peft_alpha_pattern_lookahead')
for name in look:
    if name.endswith('.lora_A.weight'):
        target = name[:-14]
        scale = 16 if target == 'model.layers.1.self_attn.q_proj' else 4
        add('peft_alpha_pattern_lookahead', target, scale * look[target + '.lora_B.weight'] @ look[name])
for case, rank, own, alpha in [('peft_experts_rank_pattern', 1, 8, 16), ('peft_experts_wrong_count', 2, 4, 16)]:
    tensors = peft(case)
    for name in tensors:
        if not name.endswith('.lora_A.weight'): continue
        target = name[:-14]
        a, b = tensors[name], tensors[target + '.lora_B.weight']
        if not target.endswith('experts'):
            add(case, target, alpha / own * b @ a)
            continue
        a, b = a.reshape(4, rank, -1), b.reshape(b.shape[0], rank, 4)
        for k in range(4): add(case, f'{target}.down_proj[{k}]', alpha / rank * b[:, :, k] @ a[k])
c3a = peft('peft_C3AConfig')
for name, kernel in c3a.items():
    m, n, b = kernel.shape
    rows = [[np.array([[kernel[i, j, (k - p) % b] for k in range(b)] for p in range(b)]) for j in range(n)] for i in range(m)]
    add('peft_C3AConfig', name.removesuffix('.c3a_kernel'), np.block(rows) / (n * b))
vb = peft('peft_VBLoRAConfig')
bank = vb['base_model.vblora_vector_bank']
def pieces(logits):
    order = np.argsort(-logits, -1)[..., :2]
    top = np.take_along_axis(logits, order, -1)
    weights = np.exp(top) / np.exp(top).sum(-1, keepdims=True)
    return (weights[..., None] * bank[order]).sum(-2)
for name in vb:
    if name.endswith('vblora_logits_A'):
        target = name[:-16]
        a = pieces(vb[name]).reshape(vb[name].shape[0], -1)
        b = pieces(vb[target + '.vblora_logits_B']).transpose(0, 2, 1).reshape(-1, a.shape[0])
        add('peft_VBLoRAConfig', target, b @ a)
print(json.dumps(found))
`;

describe('the adapters of ../shared/cases', function () {
  this.timeout(120_000);
  const service = createService({});
  after(() => service.close());
  const root = resolve(process.env.RANKSCOPE_CASES ?? '../shared/cases');

  function present(context: Mocha.Context): void {
    if (existsSync(join(root, 'mlx_lm_adapter'))) return;
    context.test!.title += ` [skipped: ${root} is missing; RANKSCOPE_CASES names its folder]`;
    context.skip();
  }

  it('have the norms that numpy computes in float64 of what each library adds, and compare', async function () {
    present(this);
    const truth = python(this, ['numpy', 'safetensors', 'torch', 'gguf'], TRUTH, root) as Record<
      string,
      Record<string, number>
    >;
    for (const [name, norms] of Object.entries(truth)) {
      const path = join(root, name);
      const { matrices } = await service.analyze({ path, engine: 'cpu', cache: false });
      assert.deepEqual(matrices.map((matrix) => matrix.name).sort(), Object.keys(norms).sort(), name);
      for (const { name: layer, frobeniusNorm } of matrices)
        assert.ok(Math.abs(frobeniusNorm - norms[layer]!) < 1e-5 * norms[layer]!, `${name} ${layer}`);
      const { adapters } = await service.compare({ paths: [path, path] });
      const total = Math.hypot(...Object.values(norms));
      assert.ok(Math.abs(adapters[0]!.norm - total) < 1e-5 * total, name);
    }
  });

  it('of MiSS are named, and no part is shown as a weight', async function () {
    present(this);
    const path = join(root, 'peft_MissConfig');
    const { matrices, skipped } = await service.analyze({ path, engine: 'cpu', cache: false });
    assert.deepEqual(matrices, []);
    for (const { reason } of skipped) assert.match(reason, /it belongs to a MiSS adapter/);
    await assert.rejects(service.compare({ paths: [path, path] }), /its adapter cannot be compared.*MiSS/);
  });
});
