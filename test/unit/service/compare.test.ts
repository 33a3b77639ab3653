import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { seededRandom } from '../../../src/base/random.ts';
import { elementCount } from '../../../src/base/shape.ts';
import type { AdapterComparison, ComparedPair } from '../../../src/model/comparison.ts';
import { createService } from '../../../src/service/service.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { testFolder } from '../formats/folder.ts';
import { python } from '../formats/python.ts';
import { f32File } from '../formats/safetensorsBytes.ts';
import { processorTime } from '../processorTime.ts';

/**
 * The comparison of dense updates in f64. `updates` has for each layer a list of [file, kind, names of its parts,
 * scale] or null, one for each adapter.
 */
const NUMPY = `
import json, os, sys
# On few cores that others use as well, threads that wait for each other take minutes.
os.environ['OPENBLAS_NUM_THREADS'] = os.environ['MKL_NUM_THREADS'] = '1'
import numpy as np
from safetensors.numpy import load_file
files = {}
def dense(file, kind, names, scale):
    tensors = files.setdefault(file, load_file(file))
    p = [np.asarray(tensors[name], dtype=np.float64) for name in names]
    if kind == 'lora': return scale * p[0] @ p[1]
    if kind == 'loha': return scale * (p[0] @ p[1]) * (p[2] @ p[3])
    return scale * np.kron(p[0], p[1])
def used(values):
    energies = np.cumsum(values ** 2)
    return int(np.searchsorted(energies, 0.99 * energies[-1]) + 1) if energies[-1] > 0 else 0
out = []
for layer in json.loads(sys.argv[1]):
    given = [None if each is None else dense(*each) for each in layer]
    spaces = [None if each is None else np.linalg.svd(each, full_matrices=False) for each in given]
    updates, pairs = [], []
    for each, space in zip(given, spaces):
        if each is None: updates.append(None); continue
        s = space[1]; s = s[s > 1e-12 * max(s[0], 1e-300)]
        q = s / s.sum() if len(s) else s
        updates.append([np.linalg.norm(each), float(np.exp(-(q * np.log(q)).sum())) if len(s) else 0, used(space[1])])
    for a in range(len(given)):
        for b in range(a + 1, len(given)):
            if given[a] is None or given[b] is None: continue
            i, j = updates[a][2], updates[b][2]
            if i == 0 or j == 0: pairs.append([a, b, None, None, None]); continue
            ua, ub = spaces[a][0][:, :i], spaces[b][0][:, :j]
            va, vb = spaces[a][2][:i], spaces[b][2][:j]
            pairs.append([a, b, float((given[a] * given[b]).sum() / updates[a][0] / updates[b][0]),
                float(np.linalg.norm(ua.T @ ub) ** 2 / min(i, j)), float(np.linalg.norm(va @ vb.T) ** 2 / min(i, j))])
    total = sum(each for each in given if each is not None)
    s = np.linalg.svd(total, compute_uv=False)
    out.append({'updates': updates, 'pairs': pairs, 'merged': [used(s), float(np.linalg.norm(s))]})
print(json.dumps(out))
`;

type Dense = readonly [file: string, kind: 'lora' | 'loha' | 'lokr', names: readonly string[], scale: number] | null;
interface Truth {
  readonly updates: readonly (readonly [norm: number, effectiveRank: number, used: number] | null)[];
  readonly pairs: readonly (readonly [number, number, number | null, number | null, number | null])[];
  readonly merged: readonly [rank: number, norm: number];
}

/**
 * Both are computed in f64 from the same f32 factors: some eps of f64, times what sums of some thousand products make
 * of it.
 */
const TOLERANCE = 1e-9;
const near = (found: number | null | undefined, truth: number | null, what: string) =>
  truth === null
    ? assert.equal(found, null, what)
    : assert.ok(Math.abs(found! - truth) <= TOLERANCE * Math.max(1, Math.abs(truth)), `${what}: ${found} for ${truth}`);

function holdTo(truth: readonly Truth[], { layers }: AdapterComparison): void {
  assert.equal(layers.length, truth.length);
  for (const [index, { updates, pairs, merged }] of truth.entries()) {
    const layer = layers[index]!;
    for (const [k, update] of updates.entries()) {
      const found = layer.updates[k];
      if (!update) assert.equal(found, null);
      else {
        near(found?.norm, update[0], `${layer.name}: norm of ${k}`);
        near(found?.effectiveRank, update[1], `${layer.name}: effective rank of ${k}`);
        assert.equal(found?.utilisedRank, update[2], `${layer.name}: utilised rank of ${k}`);
      }
    }
    assert.equal(layer.pairs.length, pairs.length);
    for (const [k, [first, second, cosine, left, right]] of pairs.entries()) {
      const pair = layer.pairs[k]!;
      assert.deepEqual([pair.first, pair.second], [first, second]);
      near(pair.cosine, cosine, `${layer.name}: cosine`);
      near(pair.overlapLeft, left, `${layer.name}: left overlap`);
      near(pair.overlapRight, right, `${layer.name}: right overlap`);
    }
    if (updates.filter(Boolean).length < 2) assert.equal(layer.merged, null);
    else {
      assert.equal(layer.merged?.rank, merged[0], `${layer.name}: rank of the sum`);
      near(layer.merged.norm, merged[1], `${layer.name}: norm of the sum`);
    }
  }
}

describe('a comparison of adapters', function () {
  this.timeout(120_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());
  const compare = (...paths: string[]) => service.compare({ paths });

  /** A PEFT adapter: per layer m, n, r and a seed; with `base` in its configuration. */
  function adapter(
    name: string,
    layers: Record<string, readonly [m: number, n: number, r: number, seed: number]>,
    config: object = {},
  ): string {
    const tensors = Object.entries(layers).flatMap(([layer, [m, n, r, seed]]) => {
      const random = seededRandom(seed);
      const values = (length: number) => Array.from({ length }, () => (seed === 0 ? 0 : random.normal()));
      return [
        [`base_model.model.${layer}.lora_A.weight`, { shape: [r, n], values: values(r * n) }] as const,
        [`base_model.model.${layer}.lora_B.weight`, { shape: [m, r], values: values(m * r) }] as const,
      ];
    });
    folder.write(`${name}/adapter_config.json`, JSON.stringify({ r: 4, lora_alpha: 8, ...config }));
    return folder.write(`${name}/adapter_model.safetensors`, f32File(Object.fromEntries(tensors)));
  }
  const lora = (file: string, layer: string, scale: number): Dense => [
    file,
    'lora',
    ['B', 'A'].map((factor) => `base_model.model.${layer}.lora_${factor}.weight`),
    scale,
  ];

  it('has the norms, ranks, cosines, overlaps and merged ranks that numpy computes from the dense updates in float64', async function () {
    const a = adapter('a', { 'layers.0.q': [40, 60, 4, 1], 'layers.1.q': [40, 60, 4, 2], 'layers.2.q': [9, 7, 4, 3] });
    const b = adapter(
      'b',
      { 'layers.0.q': [40, 60, 8, 4], 'layers.1.q': [40, 60, 4, 2], 'layers.2.q': [9, 7, 4, 5] },
      { lora_alpha: 3 },
    );
    const c = adapter('c', {
      'layers.0.q': [40, 60, 2, 6],
      'layers.1.q': [40, 60, 3, 0],
      'layers.3.q': [30, 30, 2, 7],
    });
    const truth = python(
      this,
      ['numpy', 'safetensors'],
      NUMPY,
      JSON.stringify([
        [lora(a, 'layers.0.q', 2), lora(b, 'layers.0.q', 3 / 8), lora(c, 'layers.0.q', 4)],
        [lora(a, 'layers.1.q', 2), lora(b, 'layers.1.q', 3 / 4), lora(c, 'layers.1.q', 8 / 3)],
        [lora(a, 'layers.2.q', 2), lora(b, 'layers.2.q', 3 / 4), null],
        [null, null, lora(c, 'layers.3.q', 4)],
      ]),
    ) as Truth[];
    const found = await compare(a, b, c);
    holdTo(truth, found);
    assert.deepEqual(
      found.adapters.map(({ label, layers, dead }) => [label, layers, dead]),
      [
        ['a', 3, 0],
        ['b', 3, 0],
        ['c', 3, 1],
      ],
    );
    const norms = truth.map(({ updates }) => updates[0]?.[0] ?? 0);
    near(found.adapters[0]!.norm, Math.hypot(...norms), 'norm of all');
    // Layer 1 of b is that of a, but for its scale.
    near(found.layers[1]!.pairs[0]!.cosine, 1, 'cosine of what is parallel');
    near(found.layers[1]!.pairs[0]!.overlapLeft, 1, 'overlap of what is parallel');
  });

  it('compares Hadamard and Kronecker products as their dense updates', async function () {
    const random = seededRandom(9);
    const of = (...shape: number[]) => ({
      shape,
      values: Array.from({ length: elementCount(shape) }, () => random.normal()),
    });
    const parts = ['w1_a', 'w1_b', 'w2_a', 'w2_b'].map((part) => `lycoris_x.hada_${part}`);
    const loha = folder.write(
      'loha.safetensors',
      f32File({
        ...Object.fromEntries([of(20, 2), of(2, 30), of(20, 3), of(3, 30)].map((each, k) => [parts[k]!, each])),
        'lycoris_x.alpha': { shape: [], values: [1] },
      }),
    );
    const lokr = folder.write(
      'lokr.safetensors',
      f32File({ 'lycoris_x.lokr_w1': of(4, 3), 'lycoris_x.lokr_w2': of(5, 10) }),
    );
    const dense: Dense[] = [
      [loha, 'loha', parts, 0.5],
      [lokr, 'lokr', ['lycoris_x.lokr_w1', 'lycoris_x.lokr_w2'], 1],
    ];
    holdTo(
      python(this, ['numpy', 'safetensors'], NUMPY, JSON.stringify([dense])) as Truth[],
      await compare(loha, lokr),
    );
  });

  it('compares real adapters as their dense updates, also with a copy in other factors', async function () {
    const real = checkpointPath(this, 'lora-gpt2-tigrinya');
    const file = `${real}/adapter_model.safetensors`;
    await cp(real, folder.path('copy'), { recursive: true });
    folder.write(
      'copy/adapter_config.json',
      JSON.stringify({ r: 8, lora_alpha: 16, base_model_name_or_path: 'other' }),
    );
    const found = await compare(real, folder.path('copy'));
    const names = ['transformer.h.0.attn.c_proj'];
    assert.equal(found.layers.length, 36);
    const copy = folder.path('copy/adapter_model.safetensors');
    const truth = python(
      this,
      ['numpy', 'safetensors'],
      NUMPY,
      JSON.stringify(names.map((name) => [lora(file, name, 4), lora(copy, name, 2)])),
    ) as Truth[];
    holdTo(truth, { ...found, layers: names.map((name) => found.layers.find((layer) => layer.name === name)!) });
    for (const { cosine, overlapLeft, overlapRight } of [...found.pairs, ...found.layers.flatMap(({ pairs }) => pairs)])
      for (const one of [cosine, overlapLeft, overlapRight]) near(one, 1, 'the same but for the scale');
    assert.match(found.remarks[0]!, /different bases \(.*: .*gpt2.*; copy: other\)/);
  });

  it('matches the layers of kohya with those of diffusers', async () => {
    const factors = (up: string, down: string) => ({
      [up]: { shape: [3, 1], values: [1, 2, 3] },
      [down]: { shape: [1, 2], values: [1, 1] },
    });
    const kohya = folder.write(
      'kohya.safetensors',
      f32File({
        ...factors('lora_unet_down_0_to_q.lora_up.weight', 'lora_unet_down_0_to_q.lora_down.weight'),
        ...factors('lora_te2_layers_0_k.lora_up.weight', 'lora_te2_layers_0_k.lora_down.weight'),
      }),
    );
    const diffusers = folder.write(
      'pytorch_lora_weights.safetensors',
      f32File({
        ...factors('unet.down.0.to_q.lora_B.weight', 'unet.down.0.to_q.lora_A.weight'),
        ...factors('text_encoder_2.layers.0.k.lora_B.weight', 'text_encoder_2.layers.0.k.lora_A.weight'),
      }),
    );
    const { layers, adapters, remarks } = await compare(kohya, diffusers);
    assert.deepEqual(
      [layers.length, layers.flatMap(({ pairs }) => pairs.map(({ cosine }) => cosine!.toFixed(12)))],
      [2, Array(2).fill('1.000000000000')],
    );
    assert.deepEqual(
      adapters.map(({ naming }) => naming),
      ['kohya', 'peft'],
    );
    assert.match(remarks.join(), /These adapters do not name their base:/);
  });

  it('compares several adapters of one file', async () => {
    const one = { shape: [2, 1], values: [1, 1] };
    const path = folder.write(
      'both.safetensors',
      f32File(
        Object.fromEntries(
          ['de', 'en'].flatMap((name, k) => [
            [`x.lora_B.${name}.weight`, one],
            [`x.lora_A.${name}.weight`, { shape: [1, 2], values: k === 0 ? [1, 0] : [0, 1] }],
          ]),
        ),
      ),
    );
    const { adapters, pairs } = await compare(path);
    assert.deepEqual(
      adapters.map(({ name, label }) => [name, label]),
      [
        ['de', 'both (de)'],
        ['en', 'both (en)'],
      ],
    );
    // The same outputs from other inputs.
    const { cosine, overlapLeft, overlapRight } = pairs[0] as ComparedPair;
    for (const [found, truth] of [
      [cosine, 0],
      [overlapLeft, 1],
      [overlapRight, 0],
    ] as const)
      near(found, truth, 'pair');
  });

  it('says only that two adapters have no layer in common', async () => {
    const { pairs, remarks, layers } = await compare(
      adapter('a', { x: [4, 5, 2, 1] }),
      adapter('b', { y: [4, 5, 2, 1] }),
    );
    assert.deepEqual(pairs, [{ first: 0, second: 1, cosine: null, overlapLeft: null, overlapRight: null }]);
    assert.match(remarks.join(), /No layer is adapted by two of them/);
    assert.deepEqual(
      layers.map(({ name }) => name),
      ['x', 'y'],
    );
  });

  it('reports differing shapes and compares nothing there', async () => {
    const a = adapter('a', { x: [4, 5, 2, 1], y: [4, 4, 2, 1] });
    const b = adapter('b', { x: [4, 6, 2, 2], y: [4, 4, 2, 2] });
    const { layers, remarks } = await compare(a, b);
    assert.deepEqual([layers[0]!.pairs, layers[0]!.merged], [[], null]);
    assert.equal(layers[0]!.remark, 'its shapes differ: 4 x 5, 4 x 6');
    assert.ok(layers[0]!.updates.every((update) => update!.norm > 0));
    assert.match(remarks.join('\n'), /In 1 of 2 layers the shapes differ/);
  });

  it('compares pairs if all ranks together exceed the bound', async () => {
    const random = seededRandom(1);
    const values = Array.from({ length: 320 }, () => random.normal());
    const names = Array.from({ length: 33 }, (_, k) => `task${k}`);
    const factors = names.flatMap((name, k) => [
      [`x.lora_A.${name}.weight`, { shape: [16, 20], values: values.map((value) => value + k) }] as const,
      [`x.lora_B.${name}.weight`, { shape: [20, 16], values }] as const,
    ]);
    const many = folder.write('many.safetensors', f32File(Object.fromEntries(factors)));
    const two = folder.write('two.safetensors', f32File(Object.fromEntries(factors.slice(0, 4))));
    const [layer] = (await compare(many)).layers;
    assert.equal(layer!.remark, 'its ranks add up to 528: adapters are compared in pairs, and their sum is left out');
    assert.deepEqual([layer!.pairs.length, layer!.merged], [(33 * 32) / 2, null]);
    assert.deepEqual(layer!.pairs[0], (await compare(two)).layers[0]!.pairs[0]);
  });

  it('refuses a rank above the bound by name', async () => {
    const ones = (...shape: readonly [number, number]) => ({
      shape,
      values: Array<number>(shape[0] * shape[1]).fill(1),
    });
    const high = folder.write('high.safetensors', f32File({ 'x.lora_A': ones(513, 600), 'x.lora_B': ones(600, 513) }));
    const { layers, skipped } = await compare(adapter('a', { x: [600, 600, 1, 1] }), high);
    assert.equal(layers[0]!.updates[1], null);
    const reason = 'its rank 513 exceeds the supported 512';
    assert.deepEqual(skipped, [{ adapter: 1, name: 'x', reason }]);
  });

  it('skips broken adapters by name and compares the rest', async () => {
    const a = adapter('a', { x: [4, 5, 2, 1], y: [4, 4, 2, 1] });
    const b = folder.write(
      'b.safetensors',
      f32File({
        'x.lora_A.weight': { shape: [1, 5], values: [1, 2, Number.NaN, 4, 5] },
        'x.lora_B.weight': { shape: [4, 1], values: [1, 1, 1, 1] },
        'y.lora_A.weight': { shape: [1, 4], values: [1, 1, 1, 1] },
        'y.lora_B.weight': { shape: [4, 1], values: [1, 1, 1, 1] },
        'z.lora_A.weight': { shape: [1, 4], values: [1, 1, 1, 1] },
      }),
    );
    const { layers, skipped } = await compare(a, b);
    assert.deepEqual(
      layers.map(({ name, updates }) => [name, updates.map((update) => update !== null)]),
      [
        ['x', [true, false]],
        ['y', [true, true]],
      ],
    );
    assert.deepEqual(
      skipped.map(({ adapter: index, name }) => [index, name]),
      [
        [1, 'z'],
        [1, 'x'],
      ],
    );
    assert.match(skipped[1]!.reason, /entry \[0, 2\] of its factor A is NaN/);
  });

  it('refuses a file without an adapter, and a single adapter, by name', async () => {
    const a = adapter('a', { x: [4, 5, 2, 1] });
    const model = folder.write('model.safetensors', f32File({ 'w.weight': { shape: [2, 2], values: [1, 2, 3, 4] } }));
    const half = folder.write(
      'half.safetensors',
      f32File({ 'w.lora_A.weight': { shape: [2, 2], values: [1, 2, 3, 4] } }),
    );
    await assert.rejects(compare(a), { code: 'wrong-use', subject: a, found: /the only adapter/ });
    await assert.rejects(compare(a, model), { code: 'wrong-use', subject: model, found: /holds no LoRA adapter/ });
    await assert.rejects(compare(a, half), {
      code: 'wrong-use',
      subject: half,
      found: /w: half of the pair is missing/,
    });
    await assert.rejects(compare(a, folder.path('none')), { code: 'not-found' });
  });

  it('reports its progress and stops within 200 ms of processor time on each thread', async () => {
    const layers = Object.fromEntries(
      Array.from({ length: 12 }, (_, k) => [`layers.${k}.q`, [1024, 1024, 32, k + 1] as const]),
    );
    const paths = [adapter('a', layers), adapter('b', layers), adapter('c', layers)];
    const abort = new AbortController();
    const seen: string[] = [];
    let spent = () => Number.NaN;
    const running = service.compare(
      { paths },
      {
        signal: abort.signal,
        progress: ({ done, total, message }) => {
          seen.push(`${done}/${total} ${message}`);
          if (done === 1)
            setTimeout(() => {
              spent = processorTime();
              abort.abort();
            }, 5);
        },
      },
    );
    await assert.rejects(running, { code: 'cancelled' });
    // Two threads compute.
    assert.ok(spent() < 3 * 200, `${spent()} ms`);
    assert.deepEqual(seen.slice(0, 2), ['0/12 layers.0.q', '1/12 layers.1.q']);
    assert.ok(seen.length < 12);
  });
});
