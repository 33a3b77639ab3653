import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '../../../../src/base/random.ts';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { valuesOf as valuesOfTensor } from '../../../../src/checkpoint/tensor.ts';
import type { Plan } from '../../../../src/model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { type Case, valuesOf, writeDecoder } from '../../network/decoders.ts';

const LLAMA = (JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[]).find(
  ({ kind }) => kind === 'llama',
)!;
const RANK = 6;
const READERS = /layers\.\d+\.self_attn\.[qkv]_proj/;

/** Rows in a space of few dimensions, which q, k and v of all layers have in common. */
function inOneSpace(name: string, [m = 0, n = 0]: readonly number[]): number[] {
  const space = seededRandom(1);
  const basis = Float64Array.from({ length: RANK * n }, space.normal);
  const own = seededRandom(Buffer.from(name).reduce((sum, byte) => Math.imul(sum, 31) + byte, 7));
  const rows = Float64Array.from({ length: m * RANK }, own.normal);
  return Array.from({ length: m * n }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < RANK; k++) sum += rows[Math.floor(at / n) * RANK + k]! * basis[k * n + (at % n)]!;
    return sum / 10;
  });
}

describe('a plan with factors that matrices share', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  // The model is made once for all tests.
  const model = mkdtempSync(join(tmpdir(), 'rankscope-shared-'));
  let path: string;
  let plan: Plan;
  before(async () => {
    service = createService({});
    path = writeDecoder(model, LLAMA, (name, shape) =>
      READERS.test(name) ? inOneSpace(name, shape) : valuesOf(LLAMA.seed, name, shape),
    );
    plan = await made({ inputs: true, layers: 2 });
  });
  after(async () => {
    await service.close();
    rmSync(model, { recursive: true, force: true });
  });

  const made = (share: Plan['request']['share']) =>
    service.plan({
      path,
      request: { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.7 }, ...(share && { share }) },
      threads: 1,
    });
  const ids = () => folder.write('ids.json', JSON.stringify(Array.from({ length: 80 }, (_, i) => (i * 7) % 40)));

  it('finds the space that q, k and v of all layers read, and spends what it saves elsewhere', async () => {
    const apart = await made(undefined);
    const sharers = plan.matrices.filter(({ name }) => READERS.test(name));
    assert.equal(new Set(sharers.map(({ shared }) => shared)).size, 1);
    assert.equal(new Set(sharers.map(({ rank }) => rank)).size, 1);
    assert.match(sharers[0]!.shared!, /^Layers 0-1, self_attn\.\{.*q_proj.*\}$/);
    assert.ok(sharers.every(({ rank, error }) => rank! >= RANK && error < 1e-6));
    assert.ok(plan.totals.error < apart.totals.error - 0.02, `${plan.totals.error} and ${apart.totals.error}`);
  });

  it('is written with the shared factor once, and the file computes what the plan does', async () => {
    const out = folder.path('shared.safetensors');
    const code = folder.path('shared_code.py');
    const report = await service.apply({ path, plan, out, code, threads: 1, smokeTest: false });
    assert.equal(
      report.parametersAfter,
      plan.checkpoint.parameters - plan.totals.parametersBefore + plan.totals.parametersAfter,
    );
    assert.ok(Math.abs(report.measuredError - plan.totals.error) < 1e-4, `${report.measuredError}`);

    const written = await openCheckpoint(out);
    const names = written.tensors.map(({ name }) => name);
    const ties = JSON.parse(written.metadata.get('rankscope.ties')!) as Record<string, string>;
    const sharers = plan.matrices.filter(({ name }) => READERS.test(name)).map(({ name }) => name);
    const rank = plan.matrices.find(({ name }) => name === sharers[0])!.rank!;
    const factorsA = sharers.map((name) => name.replace('weight', 'lowrank_a.weight'));
    assert.equal(factorsA.filter((name) => names.includes(name)).length, 1);
    const tensor = (name: string) => written.tensors.find((each) => each.name === name)!;
    for (const name of sharers) {
      const stem = name.replace('.weight', '');
      const a = await valuesOfTensor(tensor(ties[`${stem}.lowrank_a.weight`] ?? `${stem}.lowrank_a.weight`));
      const b = await valuesOfTensor(tensor(`${stem}.lowrank_b.weight`));
      const original = inOneSpace(name, LLAMA.tensors[name]!);
      const n = original.length / (b.length / rank);
      for (const [at, value] of original.entries()) {
        let sum = 0;
        for (let k = 0; k < rank; k++) sum += b[Math.floor(at / n) * rank + k]! * a[k * n + (at % n)]!;
        assert.ok(Math.abs(sum - value) < 1e-4, `${name}: ${sum}, not ${value}`);
      }
    }
    await written.close();

    const { variants } = await service.evaluate({
      path,
      ids: ids(),
      context: 20,
      plans: [{ name: 'plan', plan }],
      files: [out],
      threads: 1,
    });
    const [planned, file] = variants;
    assert.ok(Math.abs(planned!.perplexity - file!.perplexity) < 1e-5 * file!.perplexity);
    assert.equal(planned!.size.parametersOfModel, file!.size.parametersOfModel);
  });

  it('is refused with a text as calibration, in a script, and where the checkpoint cannot share so', async () => {
    const out = folder.path('refused.safetensors');
    const calibration = { ids: ids(), context: 20 };
    await assert.rejects(service.apply({ path, plan, out, calibration, threads: 1 }), /which is found on statistics/);
    const script = { path, kind: 'evaluate', measure: { ids: ids(), plans: [{ name: 'plan', plan }] } } as const;
    await assert.rejects(service.script({ ...script, code: folder.path('x.py') }), /no factors that matrices share/);
    const three = { ...plan, request: { ...plan.request, factors: 3 as const } };
    await assert.rejects(service.apply({ path, plan: three, out, threads: 1 }), /the plan has three/);
  });
});
