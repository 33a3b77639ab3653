import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { seededRandom } from '../../../src/base/random.ts';
import { elementCount } from '../../../src/base/shape.ts';
import type { MatrixFinding } from '../../../src/model/findings.ts';
import { createService } from '../../../src/service/service.ts';
import { checkValues } from '../../numeric/checks.ts';
import { testFolder } from '../formats/folder.ts';
import { python } from '../formats/python.ts';
import { f32File } from '../formats/safetensorsBytes.ts';

/**
 * The updates as their libraries rebuild them (LyCORIS: functional/{locon,loha,lokr}.py; PEFT: get_delta_weight), in
 * f64, each as the matrix [out, in * kernel]; its singular values.
 */
const REBUILD = `
import json, sys
import numpy as np
from safetensors.numpy import load_file

def tucker(t, a, b):
    return np.einsum('ij...,ip,jr->pr...', t, a, b)

def rebuild(parts):
    p = {name: np.asarray(value, dtype=np.float64) for name, value in parts.items()}
    if 'lora_up.weight' in p:
        up, down = p['lora_up.weight'], p['lora_down.weight']
        if 'lora_mid.weight' in p:
            return np.einsum('nm...,in,mj->ij...', p['lora_mid.weight'], up.reshape(up.shape[0], -1), down.reshape(down.shape[0], -1))
        return up.reshape(up.shape[0], -1) @ down.reshape(down.shape[0], -1)
    if 'lora_embedding_A' in p:
        return (p['lora_embedding_B'] @ p['lora_embedding_A']).T
    if 'lora_E' in p:
        return p['lora_B'] @ (p['lora_A'] * p['lora_E'])
    if 'hada_w1_a' in p:
        one = tucker(p['hada_t1'], p['hada_w1_a'], p['hada_w1_b']) if 'hada_t1' in p else p['hada_w1_a'] @ p['hada_w1_b']
        two = tucker(p['hada_t2'], p['hada_w2_a'], p['hada_w2_b']) if 'hada_t2' in p else p['hada_w2_a'] @ p['hada_w2_b']
        return one * two
    if 'lokr_w1' in p or 'lokr_w1_a' in p:
        w1 = p['lokr_w1'] if 'lokr_w1' in p else p['lokr_w1_a'] @ p['lokr_w1_b']
        w2 = p['lokr_w2'] if 'lokr_w2' in p else tucker(p['lokr_t2'], p['lokr_w2_a'], p['lokr_w2_b']) if 'lokr_t2' in p else p['lokr_w2_a'] @ p['lokr_w2_b']
        while w1.ndim < w2.ndim: w1 = w1[..., None]
        return np.kron(w1, w2)

modules = {}
for name, value in load_file(sys.argv[1]).items():
    module, part = name.split('.', 1)
    modules.setdefault(module, {})[part] = value
found = {}
for module, parts in modules.items():
    delta = rebuild(parts)
    delta = delta.reshape(delta.shape[0], -1)
    found[module] = {'shape': delta.shape, 'values': np.linalg.svd(delta, compute_uv=False).tolist()}
print(json.dumps(found))
`;

/** Per module: its parts and their shapes. */
const KINDS: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>> = {
  linear: { 'lora_up.weight': [30, 4], 'lora_down.weight': [4, 50] },
  kernel: { 'lora_up.weight': [30, 4, 1, 1], 'lora_down.weight': [4, 5, 3, 3] },
  core: { 'lora_up.weight': [30, 4, 1, 1], 'lora_mid.weight': [4, 4, 3, 3], 'lora_down.weight': [4, 6, 1, 1] },
  embedding: { lora_embedding_A: [3, 70], lora_embedding_B: [20, 3] },
  ada: { lora_A: [4, 30], lora_B: [20, 4], lora_E: [4, 1] },
  loha: { hada_w1_a: [40, 3], hada_w1_b: [3, 60], hada_w2_a: [40, 2], hada_w2_b: [2, 60] },
  lohaWide: { hada_w1_a: [20, 6], hada_w1_b: [6, 30], hada_w2_a: [20, 6], hada_w2_b: [6, 30] },
  lohaKernel: {
    ...{ hada_t1: [3, 3, 3, 3], hada_w1_a: [3, 40], hada_w1_b: [3, 8] },
    ...{ hada_t2: [3, 3, 3, 3], hada_w2_a: [3, 40], hada_w2_b: [3, 8] },
  },
  lokr: { lokr_w1: [4, 3], lokr_w2: [10, 12] },
  lokrTurned: { lokr_w1: [12, 10], lokr_w2: [3, 4] },
  lokrFactored: { lokr_w1: [4, 3], lokr_w2_a: [10, 2], lokr_w2_b: [2, 12] },
  lokrBoth: { lokr_w1_a: [4, 2], lokr_w1_b: [2, 5], lokr_w2_a: [10, 3], lokr_w2_b: [3, 12] },
  lokrKernel: { lokr_w1: [4, 3], lokr_w2: [10, 5, 3, 3] },
  lokrCore: { lokr_w1: [4, 3], lokr_t2: [2, 2, 3, 3], lokr_w2_a: [2, 10], lokr_w2_b: [2, 5] },
};

/** A file with random factors of each kind. */
function kindsFile(seed = 1): Buffer {
  const random = seededRandom(seed);
  const tensors = Object.entries(KINDS).flatMap(([module, parts]) =>
    Object.entries(parts).map(([part, shape]) => {
      const length = elementCount(shape);
      return [`${module}.${part}`, { shape, values: Array.from({ length }, () => random.normal()) }] as const;
    }),
  );
  return f32File(Object.fromEntries(tensors));
}

describe('the kinds of adapters', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());
  const analysisOf = (path: string) => service.analyze({ path, values: true, engine: 'cpu', cache: false });
  const byName = (matrices: readonly MatrixFinding[]) => new Map(matrices.map((matrix) => [matrix.name, matrix]));

  it('have the shapes and singular values that their libraries reconstruct in float64', async function () {
    const path = folder.write('all.safetensors', kindsFile());
    const truth = python(this, ['numpy', 'safetensors'], REBUILD, path) as Record<
      string,
      { shape: [number, number]; values: number[] }
    >;
    const { matrices, skipped } = await analysisOf(path);
    assert.deepEqual([matrices.length, skipped], [Object.keys(KINDS).length, []]);
    const found = byName(matrices);
    for (const [name, { shape, values }] of Object.entries(truth)) {
      const { shape: own, singularValues, adapter } = found.get(name)!;
      assert.deepEqual(own, shape, name);
      const padded = [...singularValues!, ...Array<number>(values.length - singularValues!.length).fill(0)];
      checkValues(padded, values, { rows: shape[0], cols: shape[1] });
      assert.equal(adapter?.kind, /^lo[hk]/.exec(name) ? name.slice(0, 4) : undefined);
      const rank = values.filter((value) => value > 1e-9 * values[0]!).length;
      assert.equal(adapter?.rank, rank, `${name} has the rank that its factors allow`);
    }
  });

  it('shows each adapter of a file under its name', async () => {
    const factors = { B: { shape: [2, 1], values: [1, 1] }, A: { shape: [1, 3], values: [1, 0, 0] } };
    const tensors = ['de', 'en'].flatMap((name) => [
      [`base_model.model.layers.0.q.lora_A.${name}.weight`, factors.A] as const,
      [`base_model.model.layers.0.q.lora_B.${name}.weight`, factors.B] as const,
    ]);
    const path = folder.write('both.safetensors', f32File(Object.fromEntries(tensors)));
    folder.write('adapter_config.json', JSON.stringify({ r: 1, lora_alpha: 2 }));
    folder.write('en/adapter_config.json', JSON.stringify({ r: 1, lora_alpha: 16 }));
    const { matrices } = await analysisOf(path);
    assert.deepEqual(
      matrices.map(({ name, layer, module, adapter }) => [name, layer, module, adapter?.name, adapter?.scale]),
      [
        ['layers.0.q (de)', 0, 'q (de)', 'de', 2],
        ['layers.0.q (en)', 0, 'q (en)', 'en', 16],
      ],
    );
  });

  it('refuses an update whose scale depends on a pattern that is no regular expression', async () => {
    const path = folder.write(
      'adapter_model.safetensors',
      f32File({
        'x.lora_A.weight': { shape: [1, 2], values: [1, 1] },
        'x.lora_B.weight': { shape: [2, 1], values: [1, 1] },
        'y.lora_A.weight': { shape: [1, 2], values: [1, 1] },
        'y.lora_B.weight': { shape: [2, 1], values: [1, 1] },
      }),
    );
    folder.write(
      'adapter_config.json',
      JSON.stringify({ r: 1, lora_alpha: 2, alpha_pattern: { '[xy](?!.)': 4, '(x+': 3 } }),
    );
    const { matrices } = await analysisOf(path);
    assert.deepEqual(
      matrices.map(({ adapter }) => adapter?.scale),
      [4, 4],
    );
    folder.write(
      'other/adapter_config.json',
      JSON.stringify({ r: 1, lora_alpha: 2, alpha_pattern: { y: 4, '(x+': 3 } }),
    );
    const other = folder.write('other/adapter_model.safetensors', readFileSync(path));
    const { matrices: one, skipped } = await analysisOf(other);
    assert.deepEqual(
      one.map(({ name, adapter }) => [name, adapter?.scale]),
      [['y', 4]],
    );
    assert.match(skipped[0]!.reason, /its scale is unknown: the pattern \(x\+ in adapter_config.json/);
  });

  it('skips broken pairs by name and shows the rest', async () => {
    const values = (length: number, value = 1) => Array<number>(length).fill(value);
    const path = folder.write(
      'broken.safetensors',
      f32File({
        'whole.lora_A.weight': { shape: [2, 3], values: values(6) },
        'whole.lora_B.weight': { shape: [4, 2], values: values(8) },
        'half.lora_A.weight': { shape: [2, 3], values: values(6) },
        'unequal.lora_A.weight': { shape: [2, 3], values: values(6) },
        'unequal.lora_B.weight': { shape: [4, 1], values: values(4) },
        'nan.lokr_w1': { shape: [2, 2], values: [1, 2, Number.NaN, 4] },
        'nan.lokr_w2': { shape: [3, 3], values: values(9) },
        'infinite.hada_w1_a': { shape: [3, 1], values: values(3) },
        'infinite.hada_w1_b': { shape: [1, 3], values: values(3) },
        'infinite.hada_w2_a': { shape: [3, 1], values: values(3) },
        'infinite.hada_w2_b': { shape: [1, 3], values: [1, Number.POSITIVE_INFINITY, 1] },
        'doubt.lora_down.weight': { shape: [1, 3], values: values(3) },
        'doubt.lora_up.weight': { shape: [3, 1], values: values(3) },
        'doubt.alpha': { shape: [], values: [Number.NaN] },
        'turned.oft_R.weight': { shape: [3, 3], values: values(9) },
        // 2^20 x 2^20 values of a product of two columns: nothing is ever made of that size.
        'wide.lokr_w1': { shape: [2048, 1024], values: values(2 ** 21) },
        'wide.lokr_w2': { shape: [2048, 1024], values: values(2 ** 21) },
      }),
    );
    const { matrices, skipped } = await analysisOf(path);
    assert.deepEqual(
      matrices.map(({ name }) => name),
      ['whole'],
    );
    const reasons = new Map(
      skipped.filter(({ name }) => name !== 'doubt.alpha').map(({ name, reason }) => [name.split('.')[0], reason]),
    );
    for (const [name, reason] of Object.entries({
      half: /half of the pair is missing/,
      unequal: /the ranks of its factors differ/,
      nan: /entry \[1, 0\] of its factor B is NaN/,
      infinite: /entry \[0, 1\] of its factor A2 is Infinity/,
      doubt: /alpha is NaN/,
      turned: /OFT/,
      wide: /1024 and 1024 singular values, too many to multiply/,
    }))
      assert.match(reasons.get(name) ?? '', reason, name);
  });
});
