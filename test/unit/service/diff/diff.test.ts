import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { RankscopeError } from '../../../../src/base/errors.ts';
import { seededRandom } from '../../../../src/base/random.ts';
import type { ModelDiff } from '../../../../src/model/diff/diff.ts';
import { parseHeads } from '../../../../src/model/diff/restore.ts';
import { createService } from '../../../../src/service/service.ts';
import { checkpointPath } from '../../formats/checkpointFiles.ts';
import { testFolder } from '../../formats/folder.ts';
import { f32File, type Values } from '../../formats/safetensorsBytes.ts';

type Tensors = Readonly<Record<string, Values>>;
type Dense = readonly (readonly number[])[];

describe('diff of two models', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());
  const valid = new Ajv({ strict: true, allowUnionTypes: true }).compile(
    JSON.parse(readFileSync('media/schemas/diff.schema.json', 'utf8')) as object,
  );
  const diff = async (base: string, other: string, more: object = {}): Promise<ModelDiff> => {
    const result = await service.diff({ base, other, engine: 'cpu', threads: 1, ...more });
    assert.ok(valid(result), JSON.stringify(valid.errors));
    return result;
  };
  let files = 0;
  const write = (tensors: Tensors) => folder.write(`model${files++}.safetensors`, f32File(tensors));
  const withConfig = (name: string, tensors: Tensors, config: object) => {
    folder.write(`${name}/config.json`, JSON.stringify(config));
    folder.write(`${name}/model.safetensors`, f32File(tensors));
    return folder.path(name);
  };

  it('finds the rank, norm and spectrum of a known difference, and leaves the rest identical', async () => {
    const base = random(40, 30, 1);
    const [u, v] = [orthonormal(40, 3, 2), orthonormal(30, 3, 3)];
    const values = [3, 2, 1];
    const moved = sum(base, product(u, values, v));
    const norms = tensor([[1, 2, 3]], [3]);
    const result = await diff(
      write({ [Q(0)]: tensor(base), [Q(1)]: tensor(base), 'model.norm.weight': norms }),
      write({ [Q(0)]: tensor(moved), [Q(1)]: tensor(base), 'model.norm.weight': norms }),
    );
    const [changed, same] = result.matrices;
    assert.deepEqual(result.totals, { identical: 2, equal: 0, changed: 1, change: result.totals.change });
    assert.equal(same!.state, 'identical');
    assert.equal(same!.difference, null);
    near(changed!.differenceNorm, Math.sqrt(14), 1e-5);
    near(changed!.change!, Math.sqrt(14) / norm(base), 1e-6);
    assert.equal(changed!.difference!.energyRanks['0.999'], 3);
    for (const [i, value] of values.entries()) near(changed!.difference!.singularValues[i]!, value, 1e-5);
    near(changed!.difference!.stableRank, 14 / 9, 1e-5);
    near(result.totals.change!, Math.sqrt(14 / (2 * norm(base) ** 2 + 14)), 1e-6);
  });

  it('measures a turn of the leading output space in degrees while singular values and the input space stay', async () => {
    const values = [9, 8, 7, 6, 0.3, 0.2, 0.1, 0.05];
    const [u, v] = [orthonormal(32, 8, 4), orthonormal(32, 8, 5)];
    const angle = (25 * Math.PI) / 180;
    // Each leading vector turns towards a vector behind the fourth, and that one turns away.
    const turned = u.map((row) =>
      row.map((value, i) =>
        i < 4
          ? Math.cos(angle) * value + Math.sin(angle) * row[i + 4]!
          : Math.cos(angle) * value - Math.sin(angle) * row[i - 4]!,
      ),
    );
    const result = await diff(
      write({ [Q(0)]: tensor(product(u, values, v)) }),
      write({ [Q(0)]: tensor(product(turned, values, v)) }),
      { subspace: 4 },
    );
    const { turn, valueChange } = result.matrices[0]!;
    assert.equal(turn!.rank, 4);
    near(turn!.left.largest, 25, 1e-2);
    near(turn!.left.mean, 25, 1e-2);
    near(turn!.right.largest, 0, 1e-2);
    near(valueChange!, 0, 1e-5);
    assert.match(result.remarks.join(), /leading singular values stay within 5 % while the leading subspaces turn/);
  });

  it('measures each attention head as a matrix of its own, rows of q and columns of o', async () => {
    const config = { model_type: 'llama', num_attention_heads: 4, num_key_value_heads: 2, hidden_size: 16 };
    const [q, k, o] = [random(16, 16, 6), random(8, 16, 7), random(16, 16, 8)];
    const scaled = (matrix: Dense, inHead: (row: number, col: number) => boolean) =>
      matrix.map((row, i) => row.map((value, j) => (inHead(i, j) ? 1.5 * value : value)));
    const result = await diff(
      withConfig('heads-a', { [Q(0)]: tensor(q), [K(0)]: tensor(k), [O(0)]: tensor(o) }, config),
      withConfig(
        'heads-b',
        {
          [Q(0)]: tensor(scaled(q, (row) => row >= 8 && row < 12)),
          [K(0)]: tensor(scaled(k, (row) => row >= 4)),
          [O(0)]: tensor(scaled(o, (_, col) => col < 4)),
        },
        config,
      ),
    );
    const changes = (name: string) =>
      result.matrices.find((each) => each.name === name)!.heads!.map(({ change }) => Number(change!.toFixed(6)));
    assert.deepEqual(result.heads, { queries: 4, keys: 2 });
    assert.deepEqual(changes(Q(0)), [0, 0, 0.5, 0]);
    assert.deepEqual(changes(K(0)), [0, 0.5]);
    assert.deepEqual(changes(O(0)), [0.5, 0, 0, 0]);
    const head = result.matrices.find(({ name }) => name === O(0))!.heads![0]!;
    const block = o.map((row) => row.slice(0, 4));
    // The stable rank from the largest eigenvalue of the Gram matrix, by the power method in f64.
    near(head.stableRank, norm(block) ** 2 / largestEigenvalue(block), 1e-4);
    assert.ok(head.differenceRank <= 4 && head.differenceRank >= 3);
  });

  it('matches other prefixes, fused projections and retyped or transposed tensors, and lists the rest', async () => {
    const [q, k, v] = [random(8, 8, 9), random(4, 8, 10), random(4, 8, 11)];
    const [gate, up] = [random(12, 8, 12), random(12, 8, 13)];
    const result = await diff(
      write({
        [Q(0)]: tensor(q),
        [K(0)]: tensor(k),
        'model.layers.0.self_attn.v_proj.weight': tensor(v),
        'model.layers.0.mlp.gate_proj.weight': tensor(gate),
        'model.layers.0.mlp.up_proj.weight': tensor(up),
        'model.layers.0.mlp.down_proj.weight': tensor(random(8, 12, 14)),
        'model.embed_tokens.weight': tensor(random(20, 8, 15)),
        'model.norm.weight': tensor([[1, 1]], [2]),
        'model.extra.weight': tensor(random(3, 3, 1)),
      }),
      write({
        '_orig_mod.model.layers.0.self_attn.qkv_proj.weight': tensor([...q, ...k, ...v]),
        '_orig_mod.model.layers.0.mlp.gate_up_proj.weight': tensor([...gate, ...up]),
        '_orig_mod.model.layers.0.mlp.down_proj.weight': tensor(random(8, 10, 14)),
        '_orig_mod.model.embed_tokens.weight': tensor([...random(20, 8, 15), ...random(4, 8, 16)]),
        '_orig_mod.model.norm.weight': tensor([[1, 1]], [2]),
        '_orig_mod.model.other.weight': tensor(random(5, 5, 1)),
      }),
    );
    const fused = result.matrices.filter(({ matchedBy }) => matchedBy === 'fused');
    assert.deepEqual(
      fused.map(({ otherRows, state }) => [otherRows, state]),
      [
        [[0, 8], 'identical'],
        [[8, 12], 'identical'],
        [[12, 16], 'identical'],
        [[0, 12], 'identical'],
        [[12, 24], 'identical'],
      ],
    );
    const embedding = result.matrices.find(({ role }) => role === 'embedding')!;
    assert.deepEqual([embedding.state, embedding.otherShape], ['identical', [24, 8]]);
    assert.match(embedding.remark!, /first 20 rows/);
    assert.deepEqual(
      result.reshaped.map(({ name, otherShape }) => [name, otherShape]),
      [['model.layers.0.mlp.down_proj.weight', [8, 10]]],
    );
    assert.deepEqual(
      [result.missing.map(({ name }) => name), result.added.map(({ name }) => name)],
      [['model.extra.weight'], ['_orig_mod.model.other.weight']],
    );
  });

  it("brings the rows of q in Meta's code into the order of transformers", async () => {
    const config = { num_attention_heads: 2, num_key_value_heads: 2 };
    const q = random(8, 6, 19);
    // As convert_llama_weights_to_hf.py does: (heads, size / 2, 2) becomes (heads, 2, size / 2).
    const meta: number[][] = [];
    for (let head = 0; head < 2; head++)
      for (let half = 0; half < 2; half++)
        for (let i = 0; i < 2; i++) meta[4 * head + 2 * i + half] = [...q[4 * head + 2 * half + i]!];
    const gate = tensor(random(5, 6, 20));
    const result = await diff(
      withConfig('hf', { [Q(0)]: tensor(q), 'model.layers.0.mlp.gate_proj.weight': gate }, config),
      write({ 'layers.0.attention.wq.weight': tensor(meta), 'layers.0.feed_forward.w1.weight': gate }),
    );
    assert.deepEqual(
      result.matrices.map(({ state, otherName }) => [state, otherName]),
      [
        ['identical', 'layers.0.attention.wq.weight'],
        ['identical', 'layers.0.feed_forward.w1.weight'],
      ],
    );
  });

  it('takes heads back to the base: rows of q with their bias, columns of o, and k of whole groups; all else is kept', async () => {
    const config = { num_attention_heads: 4, num_key_value_heads: 2 };
    const made = (seed: number): Tensors => ({
      [Q(0)]: tensor(random(16, 16, seed)),
      [Q(0).replace('weight', 'bias')]: tensor([random(16, 1, seed + 1).flat()], [16]),
      [K(0)]: tensor(random(8, 16, seed + 2)),
      [O(0)]: tensor(random(16, 16, seed + 3)),
      [Q(1)]: tensor(random(16, 16, seed + 4)),
    });
    const [base, other] = [made(100), made(200)];
    const paths = { base: withConfig('restore-a', base, config), other: withConfig('restore-b', other, config) };
    const out = folder.path('mixed.safetensors');
    const heads = parseHeads('0.1-2,0.3');
    const report = await service.restoreHeads({ ...paths, heads, out });
    assert.deepEqual([report.heads, report.mixed.length], [3, 4]);
    const expected = (name: string, cols: number, taken: (row: number, col: number) => boolean) =>
      other[name]!.values.map((value, i) => (taken(Math.floor(i / cols), i % cols) ? base[name]!.values[i]! : value));
    const merged: Tensors = {
      ...other,
      [Q(0)]: { shape: [16, 16], values: expected(Q(0), 16, (row) => row >= 4) },
      [Q(0).replace('weight', 'bias')]: {
        shape: [16],
        values: expected(Q(0).replace('weight', 'bias'), 1, (row) => row >= 4),
      },
      // Heads 2 and 3 are the second group; of the first, only head 1 is taken.
      [K(0)]: { shape: [8, 16], values: expected(K(0), 16, (row) => row >= 4) },
      [O(0)]: { shape: [16, 16], values: expected(O(0), 16, (_, col) => col >= 4) },
    };
    const { totals } = await diff(write(merged), out);
    assert.deepEqual([totals.identical, totals.changed], [5, 0]);
    await assert.rejects(service.restoreHeads({ ...paths, heads, out }), /there is a file of this name/);
    await assert.rejects(service.restoreHeads({ ...paths, heads: parseHeads('0.4'), out }), /head 4 of 4/);
    await assert.rejects(service.restoreHeads({ ...paths, heads: parseHeads('7.1'), out, overwrite: true }), /layer 7/);
  });

  it('takes heads back in tensors that are stored as (in, out), parts of a fused one included', async () => {
    const config = { model_type: 'gpt2', n_head: 2 };
    const fused = [random(6, 18, 31), random(6, 18, 32)];
    const output = [random(6, 6, 33), random(6, 6, 34)];
    const [a, b] = [0, 1].map((which) =>
      withConfig(
        `gpt2-${which}`,
        {
          'h.0.attn.c_attn.weight': tensor(fused[which]!),
          'h.0.attn.c_attn.bias': tensor([random(18, 1, 35).flat()], [18]),
          'h.0.attn.c_proj.weight': tensor(output[which]!),
          'h.0.attn.c_proj.bias': tensor([random(6, 1, 36).flat()], [6]),
          'h.0.mlp.c_fc.weight': tensor(random(6, 24, 37)),
          'h.0.mlp.c_fc.bias': tensor([random(24, 1, 38).flat()], [24]),
        },
        config,
      ),
    ) as [string, string];
    const out = folder.path('gpt2-mixed.safetensors');
    await service.restoreHeads({ base: a, other: b, heads: [{ layer: 0, head: 1 }], out });
    const block = (values: readonly [Dense, Dense], taken: (row: number, col: number) => boolean) =>
      values[1].map((row, i) => row.map((value, j) => (taken(i, j) ? values[0][i]![j]! : value)));
    const merged = write({
      'h.0.attn.c_attn.weight': tensor(block(fused as [Dense, Dense], (_, col) => col % 6 >= 3)),
      'h.0.attn.c_proj.weight': tensor(block(output as [Dense, Dense], (row) => row >= 3)),
    });
    const { matrices } = await diff(merged, out, { tensors: ['*.attn.*'] });
    assert.deepEqual(
      matrices.map(({ name, state }) => [name, state]),
      [
        ['h.0.attn.c_attn.weight', 'identical'],
        ['h.0.attn.c_proj.weight', 'identical'],
      ],
    );
  });

  it('tells heads apart, and takes them back, where a fused projection is a stack of heads as in GPT-NeoX', async () => {
    const config = { model_type: 'gpt_neox', num_attention_heads: 2 };
    const name = 'gpt_neox.layers.0.attention.query_key_value';
    const [fused, output, bias] = [random(24, 8, 61), random(8, 8, 62), random(1, 24, 63)];
    // Query, key and value of the second head are the rows from 12 on.
    const moved = (matrix: Dense, isMoved: (row: number, col: number) => boolean) =>
      matrix.map((row, i) => row.map((value, j) => (isMoved(i, j) ? 2 * value : value)));
    const made = (qkv: Dense, out: Dense, own: Dense): Tensors => ({
      [`${name}.weight`]: tensor(qkv),
      [`${name}.bias`]: tensor(own, [24]),
      'gpt_neox.layers.0.attention.dense.weight': tensor(out),
      'gpt_neox.layers.0.mlp.dense_h_to_4h.weight': tensor(random(16, 8, 64)),
    });
    const base = withConfig('neox-a', made(fused, output, bias), config);
    const second = made(
      moved(fused, (row) => row >= 12),
      moved(output, (_, col) => col >= 4),
      moved(bias, (_, col) => col >= 12),
    );
    const other = withConfig('neox-b', second, config);
    const { matrices } = await diff(base, other);
    const heads = matrices.flatMap(({ role, heads: own }) => (own ? [[role, own.map(({ change }) => change)]] : []));
    assert.deepEqual(heads, [
      ['qkv', [0, 1]],
      ['output', [0, 1]],
    ]);
    const out = folder.path('neox-mixed.safetensors');
    await service.restoreHeads({ base, other, heads: parseHeads('0.1'), out });
    assert.equal((await diff(base, out)).totals.changed, 0);
  });

  it('skips a matrix with NaN and says in which model and where, and compares the others', async () => {
    const [good, bad] = [random(6, 6, 17), random(6, 6, 17).map((row) => [...row])];
    bad[2]![3] = Number.NaN;
    const other = write({ [Q(0)]: tensor(bad), [Q(1)]: tensor(good) });
    const result = await diff(write({ [Q(0)]: tensor(good), [Q(1)]: tensor(good) }), other);
    assert.equal(result.matrices.length, 1);
    assert.match(result.skipped[0]!.reason, /entry \[2, 3\] is NaN in .*model/);
    assert.ok(result.skipped[0]!.reason.includes(other));
  });

  it('refuses models without a common matrix, adapters, optimizer states and truncated files, with the reason', async () => {
    const model = write({ [Q(0)]: tensor(random(6, 6, 18)) });
    const refused = async (other: string, text: RegExp) =>
      assert.rejects(
        diff(model, other),
        (error: unknown) => error instanceof RankscopeError && error.code !== 'engine' && text.test(error.message),
      );
    await refused(write({ 'conv.thing': tensor(random(3, 3, 1)) }), /none of its matrices is in/);
    await refused(
      write({ [Q(0)]: tensor(random(8, 8, 1)) }),
      /has the same shape: .*q_proj\.weight is 6 x 6 and 8 x 8 there/,
    );
    const factors = { lora_A: tensor(random(2, 6, 1)), lora_B: tensor(random(6, 2, 1)) };
    const adapter = Object.entries(factors).map(([part, values]) => [
      `base_model.model.model.layers.0.self_attn.q_proj.${part}.weight`,
      values,
    ]);
    await refused(write(Object.fromEntries(adapter)), /is an adapter, not a model/);
    await refused(
      write({ 'state.0.exp_avg': tensor(random(6, 6, 1)), 'state.0.exp_avg_sq': tensor(random(6, 6, 1)) }),
      /state of an optimizer/,
    );
    const whole = f32File({ [Q(0)]: tensor(random(6, 6, 18)) });
    await refused(folder.write('half.safetensors', whole.subarray(0, whole.length - 40)), /half\.safetensors/);
  });

  it('finds a real model in GGUF and in a nested pickle equal to its safetensors', async function () {
    const real = checkpointPath(this, 'stories260K-hf');
    const gguf = checkpointPath(this, 'stories260K-gguf');
    const result = await diff(`${real}/model.safetensors`, `${gguf}/stories260K.F32.gguf`);
    assert.equal(result.totals.changed, 0);
    assert.deepEqual([result.missing, result.added, result.matrices.length], [[], [], 36]);
    const meta = await diff(`${real}/model.safetensors`, `${real}/legacy_nested_nonzip.pth`, { tensors: ['*_proj*'] });
    assert.deepEqual([meta.totals.changed, meta.matrices.length], [0, 35]);
  });
});

const Q = (layer: number) => `model.layers.${layer}.self_attn.q_proj.weight`;
const K = (layer: number) => `model.layers.${layer}.self_attn.k_proj.weight`;
const O = (layer: number) => `model.layers.${layer}.self_attn.o_proj.weight`;

function near(actual: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not within ${tolerance} of ${expected}`);
}

function tensor(matrix: Dense, shape = [matrix.length, matrix[0]!.length]): Values {
  return { shape, values: matrix.flat() };
}

function random(rows: number, cols: number, seed: number): Dense {
  const deviates = seededRandom(seed);
  return Array.from({ length: rows }, () => Array.from({ length: cols }, () => Math.fround(deviates.normal())));
}

/** Orthonormal columns by Gram-Schmidt, twice. */
function orthonormal(rows: number, cols: number, seed: number): Dense {
  const columns = transposed(random(rows, cols, seed)).map((column) => [...column]);
  for (let pass = 0; pass < 2; pass++)
    for (const [k, column] of columns.entries()) {
      for (const earlier of columns.slice(0, k)) {
        const part = column.reduce((total, value, i) => total + value * earlier[i]!, 0);
        for (let i = 0; i < rows; i++) column[i]! -= part * earlier[i]!;
      }
      const length = Math.hypot(...column);
      for (let i = 0; i < rows; i++) column[i]! /= length;
    }
  return transposed(columns);
}

const transposed = (matrix: Dense): Dense => matrix[0]!.map((_, j) => matrix.map((row) => row[j]!));

const product = (u: Dense, values: readonly number[], v: Dense): Dense =>
  u.map((left) => v.map((right) => values.reduce((total, value, k) => total + left[k]! * value * right[k]!, 0)));

const sum = (a: Dense, b: Dense): Dense => a.map((row, i) => row.map((value, j) => value + b[i]![j]!));

const norm = (matrix: Dense) => Math.hypot(...matrix.flat());

function largestEigenvalue(matrix: Dense): number {
  let vector = matrix[0]!.map(() => 1);
  let value = 0;
  for (let step = 0; step < 2000; step++) {
    const image = matrix.map((row) => row.reduce((total, entry, j) => total + entry * vector[j]!, 0));
    const back = vector.map((_, j) => matrix.reduce((total, row, i) => total + row[j]! * image[i]!, 0));
    value = Math.hypot(...back);
    vector = back.map((entry) => entry / value);
  }
  return value;
}
