import assert from 'node:assert/strict';
import { anatomy } from '../../../src/model/names/anatomy.ts';
import { writeFactorized } from '../../../src/write/factorized.ts';
import { testFolder } from '../formats/folder.ts';
import { python } from '../formats/python.ts';
import { readAll, withCheckpoint } from '../formats/readAll.ts';
import { f32File, type Values } from '../formats/safetensorsBytes.ts';
import { stored } from '../model/tensors.ts';
import { prepare } from '../write/written.ts';

/** Values between -1 and 1 that differ from each other. */
function filled(...shape: number[]): Values {
  const count = shape.reduce((product, size) => product * size, 1);
  return { shape, values: Array.from({ length: count }, (_, k) => Math.fround(Math.sin(k * k + shape[0]!))) };
}

/** g v / ||v||, with the norm over all but `axis`. */
function normalized(g: Values, v: Values, axis: number): number[] {
  const inner = v.shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const along = (at: number) => Math.floor(at / inner) % v.shape[axis]!;
  const sums = Array.from({ length: v.shape[axis]! }, () => 0);
  for (const [at, value] of v.values.entries()) sums[along(at)]! += value ** 2;
  return v.values.map((value, at) => (g.values[along(at)]! * value) / Math.sqrt(sums[along(at)]!));
}

function close(found: readonly number[], expected: readonly number[]): void {
  assert.equal(found.length, expected.length);
  for (const [k, value] of expected.entries())
    assert.ok(Math.abs(found[k]! - value) <= 2e-6 * (1 + Math.abs(value)), `${found[k]} instead of ${value}`);
}

describe('weights that a layer computes from several tensors', () => {
  const folder = testFolder();
  const open = (tensors: Record<string, Values>) => folder.write('model.safetensors', f32File(tensors));

  for (const [axis, g] of [
    [0, filled(4, 1, 1)],
    [1, filled(1, 3, 1)],
    [2, filled(1, 1, 5)],
  ] as const)
    for (const [gName, vName] of [
      ['conv.weight_g', 'conv.weight_v'],
      ['conv.parametrizations.weight.original0', 'conv.parametrizations.weight.original1'],
    ] as const)
      it(`under weight norm along axis ${axis} are g v / ||v|| (${vName})`, async () => {
        const v = filled(4, 3, 5);
        await withCheckpoint(open({ [gName]: g, [vName]: v, 'conv.bias': filled(4) }), async (checkpoint) => {
          assert.deepEqual(checkpoint.tensors.map(({ name }) => name).sort(), ['conv.bias', 'conv.weight']);
          assert.match(checkpoint.warnings.join(), /1 weights are stored in parts \(weight norm\)/);
          const truth = normalized(g, v, axis);
          close((await readAll(checkpoint))['conv.weight']!, truth);
          const part = new Float32Array(7);
          await checkpoint.tensors.find(({ name }) => name === 'conv.weight')!.read(11, part);
          close([...part], truth.slice(11, 18));
        });
      });

  it('are written as they are stored, and stay dense', async () => {
    const tensors = {
      'conv.weight_g': filled(4, 1, 1),
      'conv.weight_v': filled(4, 3, 5),
      'fc.weight': filled(12, 12),
    };
    const prepared = await prepare(open(tensors));
    assert.match(prepared.matrices.find(({ name }) => name === 'conv.weight')!.fixed!, /weight norm/);
    const plan = await prepared.plan({});
    const out = folder.path('out.safetensors');
    const { checkpoint, matrices, factorsOf } = prepared;
    const report = await writeFactorized({ checkpoint, matrices, plan, factorsOf, out, overwrite: false });
    assert.equal(report.parametersBefore, 4 + 60 + 144);
    await prepared.checkpoint.close();
    const written = new Map<string, number[]>();
    await withCheckpoint(out, async (result) => {
      // The parts are derived from again when the file is opened.
      const [weight] = result.tensors.filter(({ name }) => name === 'conv.weight');
      for (const part of weight!.derived!.parts) {
        const values = new Float32Array(part.shape.reduce((product, size) => product * size, 1));
        await part.read(0, values);
        written.set(part.name, [...values]);
      }
    });
    for (const name of ['conv.weight_g', 'conv.weight_v'] as const)
      assert.deepEqual(written.get(name), tensors[name].values);
  });

  it('are not made of tensors that do not fit each other', async () => {
    const misfits: Record<string, Values>[] = [
      { 'a.weight_g': filled(3, 1), 'a.weight_v': filled(4, 3) },
      { 'a.weight_g': filled(4, 1), 'a.weight_v': filled(4, 3), 'a.weight': filled(4, 3) },
      { 'a.weight_orig': filled(4, 3), 'a.weight_u': filled(5), 'a.weight_v': filled(3) },
      { 'a.weight_orig': filled(4, 3), 'a.weight_mask': filled(3, 4) },
    ];
    for (const tensors of misfits)
      await withCheckpoint(open(tensors), ({ tensors: found }) =>
        assert.deepEqual(found.map(({ name }) => name).sort(), Object.keys(tensors).sort()),
      );
  });

  it('under an unknown parametrization are not shown: what is stored is another matrix', async () => {
    const file = open({
      'a.parametrizations.weight.original': filled(4, 3),
      'a.parametrizations.weight.0.base': filled(4, 3),
    });
    await withCheckpoint(file, async ({ tensors }) => {
      await assert.rejects(tensors[0]!.read(0, new Float32Array(12)), /remove_parametrizations/);
      assert.match(anatomy(tensors.slice(0, 1)).skipped[0]!.reason, /parametrization/);
    });
  });

  it('equal those that torch computes: weight norm, spectral norm and pruning, old and new', async function () {
    const truth = python(this, ['torch', 'safetensors'], TORCH, folder.path('torch.safetensors')) as Record<
      string,
      number[]
    >;
    await withCheckpoint(folder.path('torch.safetensors'), async (checkpoint) => {
      const found = await readAll(checkpoint);
      for (const [name, values] of Object.entries(truth)) close(found[name] ?? [], values);
      assert.ok(stored(anatomy(checkpoint.tensors).matrices).every(({ fixed }) => fixed !== null));
    });
  });
});

const TORCH = `
import json, sys, torch
from torch import nn
from torch.nn.utils import parametrizations as new, prune, weight_norm, spectral_norm
from safetensors.torch import save_file
torch.manual_seed(0)
layers = {
    "a": weight_norm(nn.Linear(5, 4)), "b": weight_norm(nn.Conv1d(3, 4, 5), dim=2),
    "c": weight_norm(nn.ConvTranspose1d(3, 4, 5)), "d": weight_norm(nn.Linear(5, 4), dim=None),
    "e": new.weight_norm(nn.Conv2d(3, 4, 3), dim=1), "f": new.weight_norm(nn.Linear(5, 4), dim=None),
    "g": spectral_norm(nn.Linear(5, 4)), "h": spectral_norm(nn.ConvTranspose2d(3, 4, 3)),
    "i": new.spectral_norm(nn.Conv2d(3, 4, 3)), "j": new.spectral_norm(nn.ConvTranspose1d(3, 4, 3)),
    "k": prune.random_unstructured(nn.Linear(5, 4), "weight", 0.5),
    "l": weight_norm(nn.LSTM(3, 4), "weight_hh_l0"),
}
model = nn.ModuleDict(layers)
for name, parameter in model.named_parameters():
    parameter.data = torch.randn_like(parameter)
model.eval()
inputs = {"a": (2, 5), "b": (2, 3, 9), "c": (2, 3, 9), "d": (2, 5), "g": (2, 5), "h": (2, 3, 9, 9), "k": (2, 5), "l": (2, 2, 3)}
for name, layer in layers.items():
    if name in inputs: layer(torch.randn(inputs[name]))
state = {name: value.contiguous() for name, value in model.state_dict().items() if not name.startswith("l.bias") and name != "l.weight_ih_l0"}
save_file(state, sys.argv[1])
print(json.dumps({f"{name}.{'weight_hh_l0' if name == 'l' else 'weight'}": getattr(layer, "weight_hh_l0" if name == "l" else "weight").flatten().tolist() for name, layer in layers.items()}))
`;
