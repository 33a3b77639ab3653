import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plan } from '../../../../src/model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import type { ApplyCalibration, ApplyReport, ApplyRequest } from '../../../../src/protocol/service.ts';
import { createService } from '../../../../src/service/service.ts';
import { imatrixDatFile } from '../../activations/statisticsBytes.ts';
import { checkpointPath } from '../../formats/checkpointFiles.ts';
import { testFolder } from '../../formats/folder.ts';
import { python } from '../../formats/python.ts';
import { readAll, withCheckpoint } from '../../formats/readAll.ts';
import { valuesOf, writeDecoder } from '../../network/decoders.ts';
import { caseOf, idsOf } from '../compress/smallModel.ts';

const CONTEXT = 32;
/** One device for all, because another one takes seconds to start. */
const ENGINE = { engine: 'wasm', threads: 1 } as const;
const LLAMA = caseOf('llama');
const QUERY = 'model.layers.0.self_attn.q_proj';
const DOWN = 'model.layers.1.mlp.down_proj';

describe('a plan applied with a calibration', function () {
  this.timeout(180_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());

  const planOf = (path: string, rank = 8, factors: 2 | 3 = 2): Promise<Plan> =>
    service.plan({ path, request: { ...PLAN_DEFAULTS, budget: { kind: 'rank', value: rank }, factors }, ...ENGINE });

  const idsFile = (ids: readonly number[]) => folder.write('ids.json', JSON.stringify(ids));

  async function applied(
    { path, plan, ...more }: Pick<ApplyRequest, 'path'> & Partial<ApplyRequest>,
    calibration: ApplyCalibration,
  ): Promise<ApplyReport> {
    const out = folder.path('out/small.safetensors');
    folder.write('out/readme.txt', '');
    const settings = { ...ENGINE, smokeTest: false, overwrite: true } as const;
    return service.apply({ path, plan: plan ?? (await planOf(path)), out, ...settings, ...more, calibration });
  }

  const onIds = (path: string, ids = idsOf(640), more: Partial<ApplyRequest> = {}) =>
    applied({ path, ...more }, { ids: idsFile(ids), context: CONTEXT });

  /** B A of a matrix in the written file, row-major. */
  async function productIn(out: string, module: string): Promise<number[]> {
    return withCheckpoint(out, async (checkpoint) => {
      const all = await readAll(checkpoint);
      const of = (suffix: string) => {
        const { name, shape } = checkpoint.tensors.find((tensor) => tensor.name === `${module}.${suffix}`)!;
        return { shape, values: all[name]! };
      };
      const three = checkpoint.tensors.some(({ name }) => name === `${module}.svd_s`);
      const b = of(three ? 'svd_u' : 'lowrank_b.weight');
      const a = of(three ? 'svd_v' : 'lowrank_a.weight');
      const s = three ? of('svd_s').values : undefined;
      const [[m, k], [, n]] = [b.shape, a.shape] as [[number, number], [number, number]];
      return Array.from({ length: m * n }, (_, at) => {
        let sum = 0;
        for (let i = 0; i < k; i++)
          sum += b.values[Math.floor(at / n) * k + i]! * (s?.[i] ?? 1) * a.values[i * n + (at % n)]!;
        return sum;
      });
    });
  }

  const difference = (own: readonly number[], right: readonly number[]) => {
    assert.equal(own.length, right.length);
    return Math.hypot(...own.map((value, at) => value - right[at]!)) / Math.hypot(...right);
  };

  /** How far the network in a file is from the dense one over other ids: mean KL. */
  async function divergence(path: string, file: string): Promise<number> {
    const ids = folder.write('other.json', JSON.stringify(idsOf(640, 7)));
    const request = { path, ids, context: CONTEXT, files: [file], ...ENGINE } as const;
    const { variants } = await service.evaluate(request);
    return variants[0]!.divergence.mean;
  }

  it('truncates every group on the inputs of the compressed network, as torch does it in f64', async function () {
    python(this, ['torch', 'transformers'], 'import torch, transformers');
    const path = writeDecoder(folder.path('model'), LLAMA);
    const report = await onIds(path);
    const ids = idsOf(640);
    const asked = folder.write(
      'asked.json',
      JSON.stringify({
        windows: Array.from({ length: 640 / CONTEXT }, (_, k) => ids.slice(k * CONTEXT, (k + 1) * CONTEXT)),
        ranks: Object.fromEntries(report.matrices.map(({ name, rank }) => [name.replace('.weight', ''), rank])),
        ridge: 0.1,
      }),
    );
    const script = ['test/python/truncate_blocks.py', folder.path('model'), asked];
    const printed = execFileSync(process.env.RANKSCOPE_PYTHON!, script, { encoding: 'utf8', maxBuffer: 1 << 28 });
    const right = JSON.parse(printed) as Record<string, { product: number[]; error: number }>;
    assert.equal(Object.keys(right).length, 14);
    assert.deepEqual(report.calibration!.tokens, 640);
    for (const [name, { product, error }] of Object.entries(right)) {
      assert.ok(difference(await productIn(report.out, name), product) < 1e-3, name);
      const own = report.matrices.find((matrix) => matrix.name === `${name}.weight`)!;
      assert.ok(Math.abs(own.inputError! / error - 1) < 1e-3, `${name}: ${own.inputError} instead of ${error}`);
    }
  });

  it('comes nearer to the dense network than weights alone and than statistics do', async () => {
    const path = writeDecoder(folder.path('model'), LLAMA);
    const byText = await divergence(path, (await onIds(path)).out);
    const { out, ...byWeights } = await service.apply({
      path,
      plan: await planOf(path),
      out: folder.path('plain.safetensors'),
      smokeTest: false,
      ...ENGINE,
    });
    assert.equal(byWeights.calibration, undefined);
    assert.ok(byWeights.matrices.every(({ inputError }) => inputError === undefined));
    assert.ok(byText < 0.9 * (await divergence(path, out)), `${byText}`);
  });

  for (const kind of ['phi3', 'gpt2', 'mixtral', 'qwen2_moe stacked', 'stablelm parallel'])
    it(`applies to ${kind}, and reports what its matrices lose on their inputs`, async () => {
      const path = writeDecoder(folder.path('model'), caseOf(kind));
      const { out, matrices, calibration } = await onIds(path);
      const inside = matrices.filter(({ inputError }) => typeof inputError === 'number');
      assert.ok(inside.length >= 8);
      for (const { name, inputError, measuredError } of inside) {
        assert.ok(inputError! > 0 && inputError! < 1.2, `${name}: ${inputError}`);
        assert.ok(measuredError > 0 && measuredError < 1.5, `${name}: ${measuredError}`);
      }
      assert.equal(calibration!.kind, 'text');
      assert.ok((await divergence(path, out)) > 0);
    });

  it('gives the same factors for a GGUF file as for the checkpoint that it was made from', async function () {
    const [hub, gguf] = ['hf/model.safetensors', 'gguf/stories260K.F32.gguf'].map((name) =>
      checkpointPath(this, `stories260K-${name}`),
    ) as [string, string];
    const products: number[][] = [];
    for (const path of [hub, gguf]) {
      const { out, calibration } = await onIds(path, idsOf(640));
      assert.equal(calibration!.byWeights.length, 0);
      for (const module of [QUERY, DOWN]) products.push(await productIn(out, module));
    }
    for (const k of [0, 1]) assert.ok(difference(products[2 + k]!, products[k]!) < 1e-3);
  });

  it('writes three factors with the same product', async () => {
    const path = writeDecoder(folder.path('model'), LLAMA);
    const two = await productIn((await onIds(path)).out, DOWN);
    const three = await onIds(path, idsOf(640), { plan: await planOf(path, 8, 3) });
    assert.ok(difference(await productIn(three.out, DOWN), two) < 1e-4);
  });

  describe('of statistics', () => {
    async function statisticsOf(path: string): Promise<string> {
      const out = folder.path('x.activations.safetensors');
      await service.calibrate({
        path,
        ids: idsFile(idsOf(640)),
        context: CONTEXT,
        out,
        engine: 'wasm',
        overwrite: true,
      });
      return out;
    }

    it('loses exactly the values of W X that are left out, without a pass', async () => {
      const path = writeDecoder(folder.path('model'), LLAMA);
      const file = await statisticsOf(path);
      const { matrices, calibration, out } = await applied({ path }, { file });
      assert.deepEqual([calibration!.kind, calibration!.tokens, calibration!.notes], ['full', 640, []]);
      const analyzed = await service.analyze({ path, activations: file, values: true, ...ENGINE });
      for (const { name, rank, inputError } of matrices) {
        const values = analyzed.matrices.find((finding) => finding.name === name)!.activations!.singularValues!;
        const energy = (from: number) => values.slice(from).reduce((sum, value) => sum + value * value, 0);
        const right = Math.sqrt(energy(rank) / energy(0));
        assert.ok(Math.abs(inputError! - right) < 1e-3 * right + 1e-4, `${name}: ${inputError} instead of ${right}`);
      }
      assert.ok((await divergence(path, out)) > 0);
    });

    it('scales the columns by an imatrix of llama.cpp', async () => {
      const path = writeDecoder(folder.path('model'), LLAMA);
      const names = Object.entries(LLAMA.tensors).filter(([name]) => name.includes('_proj'));
      const sums = (inputs: number) => Array.from({ length: inputs }, (_, j) => (j === 3 ? 1e6 : 1));
      const entries = names.map(([name, shape]) => ({ name, sums: [sums(shape[1]!)], counts: [100] }));
      const file = folder.write('imatrix.dat', imatrixDatFile(entries));
      const { calibration, out, matrices } = await applied({ path }, { file });
      assert.equal(calibration!.kind, 'diagonal');
      // The column that counts is kept.
      const own = await productIn(out, QUERY);
      const right = valuesOf(LLAMA.seed, `${QUERY}.weight`, LLAMA.tensors[`${QUERY}.weight`]!);
      const column = (values: readonly number[]) => values.filter((_, at) => at % 32 === 3);
      assert.ok(difference(column(own), column(right)) < 1e-3);
      assert.ok(difference(own, right) > 0.1);
      assert.ok(matrices.every(({ inputError }) => inputError! < 0.01));
    });

    it('refuses statistics of another model, and those that are NaN', async () => {
      const path = writeDecoder(folder.path('model'), LLAMA);
      const other = writeDecoder(folder.path('other'), caseOf('qwen3'));
      const file = await statisticsOf(other);
      await assert.rejects(applied({ path }, { file }), { code: 'wrong-use', message: /another model/ });
      const own = await statisticsOf(path);
      const bytes = readFileSync(own);
      bytes.writeFloatLE(Number.NaN, 8 + Number(bytes.readBigUInt64LE(0)));
      writeFileSync(own, bytes);
      await assert.rejects(applied({ path }, { file: own }), { code: 'not-finite' });
      await assert.rejects(applied({ path }, { file: own, context: 8 }), { code: 'wrong-use' });
      assert.deepEqual(readdirSync(folder.path('out')), ['readme.txt']);
    });
  });

  describe('that is bad', () => {
    it('is refused where it is too short, empty, binary or missing, and leaves nothing', async () => {
      const path = writeDecoder(folder.path('model'), LLAMA);
      const plan = await planOf(path);
      await assert.rejects(onIds(path, idsOf(12), { plan }), { code: 'wrong-use', message: /12 tokens/ });
      const files = {
        'empty.txt': ['', 'malformed'],
        'utf16.txt': [Buffer.from('\ufeffhello', 'utf16le'), 'malformed'],
        'zeros.bin': [new Uint8Array(100), 'wrong-use'],
      } as const;
      for (const [name, [content, code]] of Object.entries(files))
        await assert.rejects(
          applied({ path, plan }, { file: folder.write(name, content as string) }),
          (error: { code: string }) => {
            assert.ok([code, 'malformed'].includes(error.code), `${name}: ${error.code}`);
            return true;
          },
        );
      await assert.rejects(applied({ path, plan }, { file: folder.path('missing.txt') }), { code: 'not-found' });
      await assert.rejects(applied({ path, plan }, {}), { code: 'wrong-use' });
      assert.deepEqual(readdirSync(folder.path('out')), ['readme.txt']);
    });

    it('is warned of where lines repeat, or tokens are fewer than columns', async () => {
      const path = writeDecoder(folder.path('model'), LLAMA);
      const line = idsOf(8);
      const repeated = await onIds(
        path,
        Array.from({ length: 640 }, (_, k) => line[k % 8]!),
      );
      assert.match(repeated.calibration!.notes.join(), /repeats itself: 9\d %/);
      assert.ok(repeated.matrices.every(({ inputError }) => Number.isFinite(inputError)));
      const few = await onIds(path, idsOf(40));
      assert.deepEqual(
        few.calibration!.short.map(({ name, tokens, inputs }) => [name, tokens, inputs]),
        [
          ['model.layers.0.mlp.down_proj.weight', 32, 48],
          ['model.layers.1.mlp.down_proj.weight', 32, 48],
        ],
      );
      assert.match(few.calibration!.notes.join(), /Fewer tokens than columns: 2 matrices .*32 of 48/);
    });

    it('says which matrices are truncated by their weights alone', async () => {
      const path = writeDecoder(folder.path('model'), LLAMA);
      const request = { ...PLAN_DEFAULTS, budget: { kind: 'rank', value: 8 }, include: ['*'] } as const;
      const plan = await service.plan({ path, request, ...ENGINE });
      const { calibration, matrices } = await onIds(path, idsOf(640), { plan });
      assert.deepEqual(
        calibration!.byWeights,
        ['model.embed_tokens.weight', 'lm_head.weight'].filter((name) => matrices.some((each) => each.name === name)),
      );
      assert.ok(calibration!.byWeights.length > 0);
      assert.match(calibration!.notes.join(), /weights alone: model\.embed_tokens/);
    });

    it('is not begun where the result exists, and names weights that are NaN', async () => {
      const path = writeDecoder(folder.path('model'), LLAMA);
      const plan = await planOf(path);
      folder.write('out/small.safetensors', 'mine');
      const before = performance.now();
      await assert.rejects(onIds(path, idsOf(640), { plan, overwrite: false }), { code: 'wrong-use' });
      assert.ok(performance.now() - before < 5000);
      const broken = writeDecoder(folder.path('broken'), LLAMA, (name, shape) =>
        valuesOf(LLAMA.seed, name, shape).map((value, at) =>
          name === `${DOWN}.weight` && at === 7 ? Number.NaN : value,
        ),
      );
      await assert.rejects(onIds(broken, idsOf(640), { plan }), {
        code: 'not-finite',
        message: /layers\.1\.mlp\.down_proj/,
      });
    });

    it('leaves nothing behind when it is cancelled in the middle of a block', async () => {
      const path = writeDecoder(folder.path('model'), LLAMA);
      const plan = await planOf(path);
      const ids = idsFile(idsOf(6400));
      const out = folder.path('out/small.safetensors');
      folder.write('out/readme.txt', '');
      const cancel = new AbortController();
      const run = service.apply(
        { path, plan, out, calibration: { ids, context: CONTEXT }, smokeTest: false, ...ENGINE },
        {
          signal: cancel.signal,
          progress: ({ message }) => {
            if (message === 'Block 2 of 2') setTimeout(() => cancel.abort(), 5);
          },
        },
      );
      await assert.rejects(run, { code: 'cancelled' });
      assert.deepEqual(readdirSync(join(out, '..')), ['readme.txt']);
    });
  });
});
