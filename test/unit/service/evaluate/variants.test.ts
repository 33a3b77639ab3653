import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { EvaluateRequest, VariantEvaluation } from '../../../../src/model/evaluation.ts';
import type { PlanRequest } from '../../../../src/model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { type Case, valuesOf, writeDecoder } from '../../network/decoders.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const caseOf = (kind: string) => CASES.find((each) => each.kind === kind)!;
const LLAMA = caseOf('llama');
/** Layers x (q, k, v, o, gate, up, down). */
const CUT = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 48 * 32);

/** Statistics of both forms of the same variant agree up to f32. */
function assertSame(own: VariantEvaluation, other: VariantEvaluation, tolerance = 5e-5): void {
  for (const name of ['perplexity', 'difference', 'differenceError'] as const) {
    const error = Math.abs(own[name] - other[name]) / Math.abs(other[name]);
    assert.ok(error < tolerance, `${name} of ${own.name}: ${own[name]}, not ${other[name]}`);
  }
}

describe('variants that are evaluated', function () {
  this.timeout(120_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());

  const idsOf = ({ ids }: Pick<Case, 'ids'>) => folder.write('ids.json', JSON.stringify([...ids, ...ids].reverse()));
  const evaluate = (path: string, known: Case, more: Partial<EvaluateRequest>) =>
    service.evaluate({ path, ids: idsOf(known), context: 10, threads: 2, ...more });
  const planOf = (path: string, request: Partial<PlanRequest>) =>
    service.plan({ path, request: { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.7 }, ...request }, threads: 2 });

  for (const kind of [
    'llama',
    'gemma2',
    'phi3',
    'stablelm parallel',
    'gpt2',
    'gpt_neox',
    'opt',
    'opt 350m',
    'mixtral',
    'qwen3_moe',
    'qwen3_moe stacked',
  ])
    it(`of a plan are what apply writes, for ${kind}`, async () => {
      const known = caseOf(kind);
      const path = writeDecoder(folder.path('model'), known);
      const plan = await planOf(path, { include: ['embedding', 'head', 'position'] });
      const out = folder.path('smaller.safetensors');
      await service.apply({ path, plan, out, threads: 2 });
      const { variants, dense, notes } = await evaluate(path, known, {
        plans: [{ name: 'plan.json', plan }],
        files: [out, path],
      });
      const [planned, file, same] = variants as [VariantEvaluation, VariantEvaluation, VariantEvaluation];
      assertSame(planned, file);
      assert.ok(Math.abs(planned.perplexity / dense.perplexity - 1) > 0.01, `${planned.perplexity}`);
      assert.deepEqual(
        [planned.name, planned.kind, file.name, file.kind],
        ['plan.json', 'plan', 'smaller.safetensors', 'file'],
      );
      assert.equal(same.perplexity, dense.perplexity);
      assert.equal(same.sameTop, 1);
      assert.deepEqual(notes, []);
    });

  it('of a rank are those of a plan with this rank, with the error of the weights that the plan predicts', async () => {
    const path = writeDecoder(folder.path('model'), LLAMA);
    const plans = [];
    for (const value of [4, 9, 14])
      plans.push({ name: `${value}`, plan: await planOf(path, { budget: { kind: 'rank', value } }) });
    const { variants } = await evaluate(path, LLAMA, { ranks: [4, 9, 14], plans });
    for (const k of [0, 1, 2]) {
      const [own, planned] = [variants[k]!, variants[k + 3]!];
      assertSame(own, planned, 1e-4);
      assert.deepEqual(own.size, planned.size);
      assert.equal(own.rank, [4, 9, 14][k]);
      assert.ok(Math.abs(own.predictedError! - planned.predictedError!) < 1e-4, `${own.predictedError}`);
    }
    // At rank 14, k and v (16 x 32) stay dense: their factors would be larger.
    const { parametersBefore, parametersAfter, keptShare } = variants[2]!.size.cut!;
    assert.equal(parametersBefore, CUT);
    assert.equal(parametersAfter, 2 * (2 * 14 * 64 + 2 * 16 * 32 + 3 * 14 * 80));
    assert.equal(keptShare, parametersAfter / CUT);
  });

  it('of a tied embedding use its factors in the embedding and in the head', async () => {
    const path = writeDecoder(folder.path('model'), LLAMA);
    const overrides = { 'model.embed_tokens.weight': 5 };
    const plan = await planOf(path, { exclude: ['model.layers.*'], overrides });
    const [planned] = (await evaluate(path, LLAMA, { plans: [{ name: 'tied', plan }] })).variants;
    const product = await productOf(path, 'model.embed_tokens.weight', 5);
    const other = writeDecoder(folder.path('product'), LLAMA, (name, shape) =>
      name === 'model.embed_tokens.weight' ? product : valuesOf(LLAMA.seed, name, shape),
    );
    const truth = await evaluate(other, LLAMA, {});
    assert.ok(Math.abs(planned!.perplexity / truth.dense.perplexity - 1) < 1e-4);
    assert.equal(planned!.rank, 5);
  });

  it('of factors with three parts are what apply writes', async () => {
    const path = writeDecoder(folder.path('model'), LLAMA);
    const plan = await planOf(path, { factors: 3 });
    const out = folder.path('three.safetensors');
    await service.apply({ path, plan, out, threads: 2 });
    const { variants } = await evaluate(path, LLAMA, { plans: [{ name: 'three', plan }], files: [out], ranks: [3] });
    assertSame(variants[1]!, variants[2]!);
  });

  it('that cut nothing are said to be the dense network', async () => {
    const path = writeDecoder(folder.path('model'), LLAMA);
    const { variants, notes, dense } = await evaluate(path, LLAMA, { ranks: [500] });
    assert.equal(variants[0]!.perplexity, dense.perplexity);
    assert.deepEqual(notes, ['rank 500 cuts no matrix: it is the dense network.']);
  });

  it('are refused if the plan or the file belongs to another checkpoint', async () => {
    const path = writeDecoder(folder.path('model'), LLAMA);
    const other = writeDecoder(folder.path('other'), caseOf('llama biases, head size'));
    const gemma = writeDecoder(folder.path('gemma'), caseOf('gemma3'));
    const plan = await planOf(other, {});
    await assert.rejects(evaluate(path, LLAMA, { plans: [{ name: 'p', plan }] }), {
      code: 'wrong-use',
      message: /new plan/,
    });
    await assert.rejects(evaluate(path, LLAMA, { files: [gemma] }), { code: 'wrong-use', message: /3 layers, not 2/ });
    const renamed = folder.path('missing.safetensors');
    await assert.rejects(evaluate(path, LLAMA, { files: [renamed] }), { code: 'not-found' });
    await assert.rejects(evaluate(path, LLAMA, { ranks: [0] }), { code: 'wrong-use', message: /rank/ });
  });

  /** What a plan's file has in place of a matrix, as the product of its factors. */
  async function productOf(path: string, name: string, rank: number): Promise<number[]> {
    const plan = await planOf(path, { exclude: ['model.layers.*'], overrides: { [name]: rank } });
    const out = folder.path('product.safetensors');
    await service.apply({ path, plan, out, threads: 2 });
    const bytes = readFileSync(out);
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
      string,
      { shape: number[]; data_offsets: number[] }
    >;
    const tensor = (suffix: string) => {
      const { shape, data_offsets } = header[name.replace('weight', suffix)]!;
      const at = 8 + length + data_offsets[0]!;
      const values = Array.from({ length: shape[0]! * shape[1]! }, (_, k) => bytes.readFloatLE(at + 4 * k));
      return { shape, values };
    };
    const [a, b] = [tensor('lowrank_a.weight'), tensor('lowrank_b.weight')];
    const [m, n] = [b.shape[0]!, a.shape[1]!];
    return Array.from({ length: m * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += b.values[i * rank + k]! * a.values[k * n + j]!;
      return sum;
    });
  }
});
