import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type ErrorCode, RankscopeError } from '../../../src/base/errors.ts';
import { elementCount } from '../../../src/base/shape.ts';
import type { Checkpoint } from '../../../src/checkpoint/checkpoint.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { descriptionOf, type Tensor } from '../../../src/checkpoint/tensor.ts';
import type { Plan, PlannedMatrix } from '../../../src/model/plan/plan.ts';
import { type FactorizeRequest, writeFactorized } from '../../../src/write/factorized.ts';
import { writeSafetensors } from '../../../src/write/safetensorsWriter.ts';
import { type Prepared, prepare, scratchFolder } from './written.ts';

const SAMPLE = 'test/fixtures/sample/model.safetensors';
const CHECKPOINTS = resolve(process.env.RANKSCOPE_CHECKPOINTS ?? '../shared/checkpoints');

const fails = (code: ErrorCode, text: RegExp) => (error: unknown) =>
  error instanceof RankscopeError && error.code === code && text.test(error.message);

describe('writing a checkpoint as factors', function () {
  this.timeout(120_000);
  const folder = scratchFolder();
  let count = 0;
  const fresh = () => join(folder, `${count++}.safetensors`);
  const write = (prepared: Prepared, plan: Plan, more: Partial<FactorizeRequest> = {}) =>
    writeFactorized({ ...prepared, plan, out: fresh(), overwrite: false, ...more });
  const readAll = async (checkpoint: Checkpoint, name: string) => {
    const tensor = checkpoint.tensors.find((found) => found.name === name)!;
    const values = new Float32Array(elementCount(tensor.shape));
    await tensor.read(0, values);
    return values;
  };

  describe('of the sample', () => {
    let sample: Prepared;
    let plan: Plan;
    before(async () => {
      sample = await prepare(SAMPLE);
      plan = await sample.plan({});
    });
    after(() => sample.checkpoint.close());
    const name = (layer: number, module: string) => `model.layers.${layer}.${module}.weight`;
    const replaced = (change: (matrix: PlannedMatrix) => PlannedMatrix): Plan => ({
      ...plan,
      matrices: plan.matrices.map(change),
    });

    it('keeps the type, replaces planned matrices and copies everything else', async () => {
      const { out, matrices, ...report } = await write(sample, plan);
      const result = await openCheckpoint(out);
      const names = new Map(result.tensors.map((tensor) => [tensor.name, tensor]));
      for (const { name, rank, shape } of plan.matrices) {
        const stem = name.replace(/\.weight$/, '');
        assert.equal(names.has(name), rank === null);
        if (rank === null) continue;
        assert.deepEqual(names.get(`${stem}.lowrank_a.weight`)?.shape, [rank, shape[1]]);
        assert.deepEqual(names.get(`${stem}.lowrank_b.weight`)?.shape, [shape[0], rank]);
        assert.equal(names.get(`${stem}.lowrank_b.weight`)?.dtype, 'BF16');
      }
      assert.equal(report.bytesAfter, readFileSync(out).length);
      assert.equal(report.bytesBefore, readFileSync(SAMPLE).length);
      assert.equal(report.parametersBefore, plan.checkpoint.parameters);
      const { parametersBefore, parametersAfter } = plan.totals;
      assert.equal(report.parametersBefore - report.parametersAfter, parametersBefore - parametersAfter);
      assert.deepEqual(
        matrices.map((matrix) => [matrix.name, matrix.rank, matrix.predictedError]),
        plan.matrices.filter(({ rank }) => rank !== null).map((matrix) => [matrix.name, matrix.rank, matrix.error]),
      );
      await result.close();
    });

    it('splits the root of each singular value between the two factors', async () => {
      const query = name(0, 'self_attn.q_proj');
      const { out } = await write(sample, await sample.plan({ exclude: ['*'], overrides: { [query]: 5 } }));
      const result = await openCheckpoint(out);
      const a = await readAll(result, query.replace('weight', 'lowrank_a.weight'));
      const b = await readAll(result, query.replace('weight', 'lowrank_b.weight'));
      const matrix = sample.matrices.find((found) => found.name === query)!;
      const { values } = await sample.factorsOf(matrix, 5);
      for (let k = 0; k < 5; k++) {
        const row = Math.hypot(...a.subarray(96 * k, 96 * (k + 1)));
        const column = Math.hypot(...Array.from({ length: 96 }, (_, i) => b[5 * i + k]!));
        // bf16 has 8 bits.
        for (const norm of [row, column]) assert.ok(Math.abs(norm / Math.sqrt(values[k]!) - 1) < 2 ** -8);
      }
      await result.close();
    });

    it('writes two factors of another origin as they are, and trained norms as ordinary tensors', async () => {
      const query = name(0, 'self_attn.q_proj');
      const norm = name(0, 'input_layernorm');
      const matrix = sample.matrices.find((found) => found.name === query)!;
      const [m, n] = matrix.shape;
      const b = Float32Array.from({ length: m * 3 }, (_, k) => (k % 7) / 8);
      const a = Float32Array.from({ length: 3 * n }, (_, k) => (k % 5) / 4 - 0.5);
      const trained = Float32Array.from({ length: n }, (_, k) => 1 + (k % 3) / 4);
      const two = await sample.plan({ exclude: ['*'], overrides: { [query]: 3 } });
      const request = { factorsOf: async () => ({ rank: 3, b, a }), changed: new Map([[norm, trained]]) };
      const { out, matrices } = await write(sample, two, request);
      const result = await openCheckpoint(out);
      assert.deepEqual(await readAll(result, query.replace('weight', 'lowrank_a.weight')), a);
      assert.deepEqual(await readAll(result, query.replace('weight', 'lowrank_b.weight')), b);
      assert.deepEqual(await readAll(result, norm), trained);
      assert.equal(result.tensors.find((tensor) => tensor.name === norm)?.dtype, 'BF16');
      await result.close();
      assert.ok(matrices[0]!.measuredError > 0.5, 'the error is that of these factors');
      for (const [more, code, message] of [
        [{ ...request, factorsOf: async () => ({ rank: 3, b, a: a.slice(1) }) }, 'engine', /wrong sizes/],
        [{ ...request, factorsOf: async () => ({ rank: 3, b: b.map(() => Number.NaN), a }) }, 'not-finite', /q_proj/],
        [{ ...request, changed: new Map([[norm, trained.slice(1)]]) }, 'engine', /input_layernorm/],
      ] as const)
        await assert.rejects(write(sample, two, more), fails(code, message));
      const three = await sample.plan({ exclude: ['*'], overrides: { [query]: 3 }, factors: 3 });
      await assert.rejects(write(sample, three, request), fails('wrong-use', /two factors were found/));
    });

    it('records in the metadata what was done, and keeps existing entries', async () => {
      const { out } = await write(sample, plan);
      const { metadata, close } = await openCheckpoint(out);
      await close();
      assert.equal(metadata.get('format'), 'pt');
      assert.equal(metadata.get('rankscope.format'), 'rankscope.factorized/1');
      assert.equal(metadata.get('rankscope.source'), 'model.safetensors');
      assert.equal(metadata.get('rankscope.factors'), '2');
      assert.deepEqual(JSON.parse(metadata.get('rankscope.request')!), plan.request);
      const ranks = plan.matrices.filter(({ rank }) => rank !== null).map(({ name, rank }) => [name, rank]);
      assert.deepEqual(JSON.parse(metadata.get('rankscope.ranks')!), Object.fromEntries(ranks));
    });

    it('reports each tensor when its turn comes', async () => {
      const seen: [number, number][] = [];
      await write(sample, plan, { progress: (done, total) => seen.push([done, total]) });
      assert.deepEqual(
        seen.map(([done]) => done),
        Array.from({ length: seen.length }, (_, k) => k),
      );
      assert.ok(seen.every(([, total]) => total === seen.length));
    });

    it('measures the residual on a device if there is one', async () => {
      const { matrices } = await write(sample, plan, { residualOf: async (_, { rank }) => rank / 1000 });
      for (const { rank, measuredError } of matrices) assert.equal(measuredError, rank / 1000);
    });

    it('refuses a plan that does not fit the checkpoint, by name, and writes nothing', async () => {
      const before = readdirSync(folder);
      const query = name(0, 'self_attn.q_proj');
      const other = (change: Partial<PlannedMatrix>) =>
        replaced((matrix) => (matrix.name === query ? { ...matrix, rank: 4, ...change } : matrix));
      const cases: [Plan, RegExp][] = [
        [
          { ...plan, checkpoint: { ...plan.checkpoint, parameters: 5 } },
          /658656 parameters, the plan is for one with 5.*new plan/,
        ],
        [other({ name: 'model.layers.9.x' }), /model\.layers\.9\.x.*but the checkpoint does not/],
        [other({ shape: [96, 95] }), /q_proj\.weight.*96 x 96, in the plan 96 x 95/],
        [other({ rank: 49 }), /rank 49 is above break-even \(48\)/],
        [{ ...other({ rank: 48 }), request: { ...plan.request, factors: 3 } }, /rank 48 is above break-even \(47\)/],
      ];
      for (const [wrong, text] of cases) await assert.rejects(write(sample, wrong), fails('wrong-use', text));
      assert.deepEqual(readdirSync(folder), before);
    });

    it('refuses to overwrite its source, and factors that are not finite', async () => {
      const content = readFileSync(SAMPLE);
      await assert.rejects(
        write(sample, plan, { out: SAMPLE, overwrite: true }),
        fails('wrong-use', /the source itself/),
      );
      assert.ok(readFileSync(SAMPLE).equals(content));
      const out = fresh();
      const broken = { left: new Float32Array(1), values: new Float64Array(1), right: new Float32Array(1) };
      await assert.rejects(
        write(sample, plan, { out, factorsOf: async () => broken }),
        fails('engine', /factors have the wrong sizes: 1, 1 and 1 values/),
      );
      const nan: FactorizeRequest['factorsOf'] = async (matrix, rank) => {
        const factors = await sample.factorsOf(matrix, rank);
        factors.left[0] = Number.NaN;
        return factors;
      };
      await assert.rejects(write(sample, plan, { out, factorsOf: nan }), fails('not-finite', /NaN or infinity/));
      assert.ok(!existsSync(out));
    });

    it('stops when cancelled and leaves nothing behind', async () => {
      const names = readdirSync(folder);
      const controller = new AbortController();
      const residualOf: FactorizeRequest['residualOf'] = async () => {
        controller.abort();
        return 0;
      };
      await assert.rejects(write(sample, plan, { residualOf, signal: controller.signal }), fails('cancelled', /./));
      assert.deepEqual(readdirSync(folder), names);
    });
  });

  it('writes tied tensors once, and names them in the metadata', async () => {
    const source = fresh();
    const content = new Float32Array(24 * 10).map((_, k) => Math.sin(k * k));
    const tensor = (name: string) => ({
      name,
      dtype: 'F32',
      shape: [24, 10],
      bytes: content.byteLength,
      async *content() {
        yield new Uint8Array(content.buffer);
      },
    });
    const tensors = [tensor('embed.weight'), tensor('head.weight')];
    await writeSafetensors({ out: source, tensors, metadata: new Map(), sources: [], overwrite: false });
    const prepared = await prepare(source);
    for (const request of [{}, { exclude: ['*'] }]) {
      const { out, parametersBefore } = await write(prepared, await prepared.plan(request));
      const result = await openCheckpoint(out);
      assert.equal(parametersBefore, 240);
      assert.ok(result.tensors.every(({ name }) => !name.startsWith('head')));
      assert.deepEqual(JSON.parse(result.metadata.get('rankscope.ties')!), { 'head.weight': 'embed.weight' });
      await result.close();
    }
    const plan = await prepared.plan({});
    const wrong = { ...plan, matrices: plan.matrices.map((matrix) => ({ ...matrix, name: 'head.weight' })) };
    await assert.rejects(write(prepared, wrong), fails('wrong-use', /head\.weight/));
    await prepared.checkpoint.close();
  });

  it('writes factors of 8-bit floats in BF16, and records the original type in the metadata', async function () {
    const source = join(CHECKPOINTS, 'retsim-dtypes/retsim.f8_e4m3.safetensors');
    if (!existsSync(source)) {
      this.test!.title += ` (missing: ${source})`;
      this.skip();
    }
    const prepared = await prepare(source);
    const chosen = prepared.matrices.find(({ tensor, fixed }) => tensor.dtype === 'F8_E4M3' && !fixed)!;
    const { out, matrices } = await write(
      prepared,
      await prepared.plan({ exclude: ['*'], overrides: { [chosen.name]: 4 } }),
    );
    const result = await openCheckpoint(out);
    const factor = result.tensors.find(({ name }) => name === chosen.name.replace('weight', 'lowrank_a.weight'));
    assert.equal(factor?.dtype, 'BF16');
    assert.deepEqual(JSON.parse(result.metadata.get('rankscope.types')!), { [chosen.name]: 'F8_E4M3' });
    assert.ok(Math.abs(matrices[0]!.measuredError - matrices[0]!.predictedError) < 2 ** -8);
    const carried = result.tensors.filter(({ dtype }) => dtype === 'F8_E4M3');
    assert.ok(carried.length > 0);
    for (const { name } of carried)
      assert.deepEqual(await readAll(result, name), await readAll(prepared.checkpoint, name));
    await result.close();
    await prepared.checkpoint.close();
  });

  it('decodes tensors to the type of their values if safetensors cannot hold their bytes', async () => {
    const prepared = await prepare(SAMPLE);
    const tensors = prepared.checkpoint.tensors.map((tensor): Tensor => {
      return { ...descriptionOf(tensor), read: (start, out, signal) => tensor.read(start, out, signal) };
    });
    const unreadable: Checkpoint = { ...prepared.checkpoint, tensors };
    const { out } = await write(prepared, await prepared.plan({ exclude: ['*'] }), { checkpoint: unreadable });
    const result = await openCheckpoint(out);
    assert.deepEqual(
      result.tensors.map(({ name, dtype }) => [name, dtype]).sort(),
      tensors.map(({ name, dtype }) => [name, dtype]).sort(),
    );
    for (const { name } of result.tensors)
      assert.deepEqual(await readAll(result, name), await readAll(prepared.checkpoint, name));
    await result.close();
    await prepared.checkpoint.close();
  });
});
