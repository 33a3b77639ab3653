import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Ajv } from 'ajv';
import { RankscopeError } from '../../../../src/base/errors.ts';
import { groupBy } from '../../../../src/base/groupBy.ts';
import { parsePlan } from '../../../../src/model/plan/parsePlan.ts';
import type { PlanRequest } from '../../../../src/model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import { SHARING_DEFAULTS, type SharingReport } from '../../../../src/model/sharing/sharing.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { type Case, valuesOf, writeDecoder } from '../../network/decoders.ts';
import { noise, type TestMatrix, writeMatrices } from '../matrices.ts';

const DECODERS = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const REQUEST = { ...SHARING_DEFAULTS, layers: 2, threads: 1 };
const schemaOf = (name: string) =>
  new Ajv({ strict: true, allowUnionTypes: true }).compile(
    JSON.parse(readFileSync(`media/schemas/${name}.schema.json`, 'utf8')) as object,
  );
const [valid, validPlan] = [schemaOf('sharing'), schemaOf('plan')];

const mixed = ({ rows, cols, values }: TestMatrix, factor: number, other: TestMatrix, share: number): TestMatrix => ({
  rows,
  cols,
  values: values.map((value, at) => factor * value + share * other.values[at]!),
});

describe('what tensors and layers have in common', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());
  const found = async (path: string, change: { keep?: number } = {}): Promise<SharingReport> => {
    const report = await service.sharing({ path, ...REQUEST, ...change });
    assert.ok(valid(JSON.parse(JSON.stringify(report))), JSON.stringify(valid.errors));
    return report;
  };

  it('is an embedding and a head that are equal without being tied: V x d parameters', async () => {
    const words = noise(50, 8, 1);
    const path = writeMatrices(folder.path('model.safetensors'), {
      'model.embed_tokens.weight': words,
      'lm_head.weight': words,
      'model.layers.0.self_attn.q_proj.weight': noise(8, 8, 2),
    });
    const { equal, alike, angles } = await found(path);
    assert.deepEqual(equal, [
      {
        names: ['model.embed_tokens.weight', 'lm_head.weight'],
        roles: ['embedding', 'head'],
        shape: [50, 8],
        dtype: 'F32',
        copies: 2,
        savedParameters: 400,
        savedBytes: 1600,
      },
    ]);
    assert.deepEqual([alike, angles], [[], []]);
  });

  it('is a head that the file lacks because the configuration ties it', async () => {
    const llama = DECODERS.find(({ config }) => config.tie_word_embeddings === true)!;
    const path = writeDecoder(folder.path('model'), llama);
    const { tiedByConfiguration } = await found(path);
    const [v = 0, d = 0] = llama.tensors['model.embed_tokens.weight'] ?? [];
    assert.deepEqual(tiedByConfiguration, {
      embedding: 'model.embed_tokens.weight',
      head: 'lm_head.weight',
      shape: [v, d],
      parameters: v * d,
    });
  });

  it('are matrices that differ by a factor and a little noise, also where one is an embedding with more words', async () => {
    const [words, gate, other] = [noise(50, 8, 1), noise(20, 8, 2), noise(20, 8, 3)];
    const path = writeMatrices(folder.path('model.safetensors'), {
      'model.embed_tokens.weight': words,
      'lm_head.weight': { rows: 48, cols: 8, values: words.values.subarray(0, 48 * 8).slice() },
      'model.layers.0.mlp.gate_proj.weight': gate,
      'model.layers.0.mlp.up_proj.weight': other,
      'model.layers.1.mlp.gate_proj.weight': mixed(gate, -2, other, 0.1),
      'model.layers.1.mlp.up_proj.weight': noise(20, 8, 4),
    });
    const { alike } = await found(path);
    assert.deepEqual(
      alike.map(({ first, second, rows }) => [first, second, rows]),
      [
        ['model.embed_tokens.weight', 'lm_head.weight', 48],
        ['model.layers.0.mlp.gate_proj.weight', 'model.layers.1.mlp.gate_proj.weight', 20],
      ],
    );
    const [same, near] = alike;
    assert.deepEqual([same!.cosine, same!.factor, same!.difference, same!.residual], [1, 1, 0, 0]);
    // By the definitions, in f64.
    const a = Array.from(gate.values);
    const b = a.map((value, at) => Math.fround(Math.fround(-2 * value + 0.1 * other.values[at]!)));
    const dot = (x: number[], y: number[]) => x.reduce((sum, value, at) => sum + value * y[at]!, 0);
    const minus = (x: number[], y: number[], factor: number) => x.map((value, at) => value - factor * y[at]!);
    const factor = dot(a, b) / dot(a, a);
    const norm = (x: number[]) => Math.sqrt(dot(x, x));
    for (const [value, right] of [
      [near!.cosine, dot(a, b) / norm(a) / norm(b)],
      [near!.factor, factor],
      [near!.difference, norm(minus(a, b, 1)) / norm(a)],
      [near!.residual, norm(minus(b, a, factor)) / norm(b)],
    ] as const)
      assert.ok(Math.abs(value - right) < 1e-6, `${value}, not ${right}`);
  });

  it('are matrices that are stored as their transposes, as Conv1D does', async () => {
    const gpt2 = DECODERS.find(({ kind }) => kind === 'gpt2')!;
    const path = writeDecoder(folder.path('model'), gpt2, (name, shape) => {
      const square = valuesOf(1, 'x', [32, 32]);
      if (name.endsWith('h.0.attn.c_proj.weight')) return square;
      return name.endsWith('h.1.attn.c_proj.weight')
        ? square.map((value) => 1.01 * value)
        : valuesOf(gpt2.seed, name, shape);
    });
    const { alike } = await found(path);
    assert.equal(alike.length, 1);
    assert.ok(Math.abs(alike[0]!.factor - 1.01) < 1e-5);
  });

  it('are the inputs that layers read: angles of known planes', async () => {
    const n = 8;
    /** Reads the first two inputs, or those and others turned by an angle. */
    const reads = (angle: number, seed: number): TestMatrix => {
      const left = noise(12, 2, seed);
      const basis = Float32Array.from({ length: 2 * n }, (_, at) => {
        if (at === 0) return Math.cos(angle);
        if (at === 4) return Math.sin(angle);
        return at === n + 1 ? 1 : 0;
      });
      const values = new Float32Array(12 * n);
      for (let i = 0; i < 12; i++)
        for (let j = 0; j < n; j++)
          values[i * n + j] = left.values[2 * i]! * basis[j]! + left.values[2 * i + 1]! * basis[n + j]!;
      return { rows: 12, cols: n, values };
    };
    const path = writeMatrices(
      folder.path('model.safetensors'),
      Object.fromEntries(
        [0, 0, 0.5].map((angle, layer) => [`model.layers.${layer}.mlp.up_proj.weight`, reads(angle, 5 + layer)]),
      ),
    );
    const { angles, bases } = await found(path, { keep: 0.3 });
    assert.deepEqual(
      angles.map(({ module, layers, directions, inputs }) => [module, layers, directions, inputs]),
      [['mlp.up_proj', [0, 1, 2], 2, n]],
    );
    const cosine = Math.cos(0.5);
    for (const { first, second, overlap, cosines } of angles[0]!.pairs) {
      const right = second === 2 ? [1, cosine] : [1, 1];
      assert.ok(
        cosines.every((value, k) => Math.abs(value - right[k]!) < 1e-5),
        `${first} ${second}: ${cosines.join()}`,
      );
      assert.ok(Math.abs(overlap - (right[0]! ** 2 + right[1]! ** 2) / 2) < 1e-5);
    }
    // Two layers with one space share it.
    assert.equal(bases.groups.length, 1);
    assert.deepEqual(bases.groups[0]!.layers, [0, 1]);
    for (const { independentError, sharedError } of bases.sizes) assert.ok(sharedError <= independentError + 1e-12);
    assert.ok(bases.parametersAtEqualError! <= bases.independent.parameters);
  });

  it('is measured on a text, independent factors beside shared ones', async () => {
    const llama = DECODERS.find(({ kind }) => kind === 'llama')!;
    const path = writeDecoder(folder.path('model'), llama);
    const ids = join(dirname(path), 'ids.json');
    writeFileSync(ids, JSON.stringify(Array.from({ length: 80 }, (_, i) => (i * 7) % 40)));
    const report = await service.sharing({ path, ...REQUEST, text: { ids, context: 20 } });
    assert.ok(valid(JSON.parse(JSON.stringify(report))), JSON.stringify(valid.errors));
    const { evaluation, independent, shared } = report.bases;
    assert.deepEqual(
      evaluation!.variants.map(({ name, predictedError }) => [name, predictedError]),
      [
        ['independent', independent.error],
        ['shared', shared.error],
      ],
    );
  });

  /** A network, and statistics of its inputs over a short text. */
  const calibrated = async () => {
    const llama = DECODERS.find(({ kind }) => kind === 'llama')!;
    const path = writeDecoder(folder.path('model'), llama);
    const ids = join(dirname(path), 'ids.json');
    writeFileSync(ids, JSON.stringify(Array.from({ length: 160 }, (_, i) => (i * i * 7) % 40)));
    const activations = join(dirname(path), 'own.activations.safetensors');
    await service.calibrate({ path, ids, context: 20, out: activations, overwrite: true });
    return { path, ids, activations };
  };

  it('loses no more of W X than independent factors with as many parameters, at any size, and is measured so', async () => {
    const { path, ids, activations } = await calibrated();
    const report = await service.sharing({ path, ...REQUEST, keep: 0.5, activations, text: { ids, context: 20 } });
    assert.ok(valid(JSON.parse(JSON.stringify(report))), JSON.stringify(valid.errors));
    const { inputs, sizes, groups, evaluation } = report.bases;
    assert.deepEqual([inputs!.kind, inputs!.tokens], ['full', 160]);
    assert.ok(groups.length > 0);
    for (const { independentError, sharedError } of sizes) assert.ok(sharedError <= independentError + 1e-9);
    assert.ok(sizes.some(({ independentError, sharedError }) => sharedError < independentError - 1e-4));
    const byWeights = await service.sharing({ path, ...REQUEST, keep: 0.5 });
    assert.equal(byWeights.bases.inputs, undefined);
    assert.notEqual(byWeights.bases.shared.error, report.bases.shared.error);
    assert.equal(evaluation!.variants.length, 2);
  });

  it('is planned on activations, applied with them, and gives the network that was measured', async () => {
    const { path, ids, activations } = await calibrated();
    const request: PlanRequest = {
      ...PLAN_DEFAULTS,
      budget: { kind: 'keep', value: 0.5 },
      spread: 'activations',
      share: { inputs: true, layers: 2 },
    };
    const plan = await service.plan({ path, request, sources: { activations }, threads: 1 });
    assert.ok(plan.matrices.some(({ shared }) => shared !== undefined));
    assert.ok(validPlan(JSON.parse(JSON.stringify(plan))), JSON.stringify(validPlan.errors));
    // From the text itself, and from the plan file, the same comes out.
    const text = { ids, context: 20 };
    for (const sources of [{ text }, { from: parsePlan(JSON.stringify(plan), 'plan.json') }]) {
      const again = await service.plan({ path, request, sources, threads: 1 });
      for (const [k, { rank, shared, error }] of again.matrices.entries()) {
        assert.deepEqual([rank, shared], [plan.matrices[k]!.rank, plan.matrices[k]!.shared]);
        assert.ok(Math.abs(error - plan.matrices[k]!.error) < 1e-4);
      }
    }
    const out = join(dirname(path), 'shared.safetensors');
    const applied = await service.apply({ path, plan, out, calibration: { file: activations } });
    // What the plan predicts for a group is lost by its matrices together, weighed by their sizes.
    for (const [name, members] of groupBy(plan.matrices, ({ shared }) => shared ?? '')) {
      if (name === '') continue;
      const of = (own: string) => applied.matrices.find((each) => each.name === own)!.inputError!;
      const entries = members.reduce((sum, { parametersBefore }) => sum + parametersBefore, 0);
      const lost = members.reduce((sum, each) => sum + (of(each.name) ** 2 * each.parametersBefore) / entries, 0);
      assert.ok(
        Math.abs(Math.sqrt(lost) - members[0]!.error) < 1e-3,
        `${name}: ${Math.sqrt(lost)}, ${members[0]!.error}`,
      );
    }
    const plans = [{ name: 'shared', plan }];
    const [variant, file] = (await service.evaluate({ path, ...text, plans, activations, files: [out] })).variants;
    assert.ok(Math.abs(variant!.perplexity - file!.perplexity) < 1e-4 * file!.perplexity);
    await assert.rejects(
      service.apply({ path, plan, out, overwrite: true, calibration: { ids } }),
      /shares a factor, which is found on statistics/,
    );
  });

  it('is refused out of range, for an adapter, and stops when it is cancelled', async () => {
    const path = writeMatrices(folder.path('model.safetensors'), {
      'model.layers.0.mlp.up_proj.weight': noise(8, 8, 1),
    });
    for (const change of [{ keep: 1 }, { layers: 0 }, { directions: 65 }, { near: 0 }])
      await assert.rejects(
        service.sharing({ path, ...REQUEST, ...change }),
        (error) => error instanceof RankscopeError && error.code === 'wrong-use',
      );
    const adapter = writeMatrices(folder.path('adapter.safetensors'), {
      'base_model.model.layers.0.q_proj.lora_A.weight': noise(2, 8, 1),
      'base_model.model.layers.0.q_proj.lora_B.weight': noise(8, 2, 2),
    });
    await assert.rejects(service.sharing({ path: adapter, ...REQUEST }), /adapter/);
    await assert.rejects(service.sharing({ path, ...REQUEST }, { signal: AbortSignal.abort() }), /cancel/i);
  });

  it('leaves out a matrix with NaN, and says so', async () => {
    const broken = noise(8, 8, 2);
    broken.values[5] = Number.NaN;
    const path = writeMatrices(folder.path('model.safetensors'), {
      'model.layers.0.mlp.up_proj.weight': noise(8, 8, 1),
      'model.layers.1.mlp.up_proj.weight': broken,
      'model.layers.2.mlp.up_proj.weight': noise(8, 8, 3),
    });
    const { angles, notes } = await found(path);
    assert.deepEqual(angles[0]!.layers, [0, 2]);
    assert.ok(
      notes.some((note) => note.includes('layers.1.mlp.up_proj')),
      notes.join(),
    );
  });
});
