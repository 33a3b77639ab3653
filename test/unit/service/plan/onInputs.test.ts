import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { openStatistics } from '../../../../src/activations/openStatistics.ts';
import { RankscopeError } from '../../../../src/base/errors.ts';
import { breakEvenRank } from '../../../../src/base/shape.ts';
import { expertOfStack } from '../../../../src/model/names/moduleOfWeight.ts';
import { parsePlan } from '../../../../src/model/plan/parsePlan.ts';
import type { Plan, PlanRequest } from '../../../../src/model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import type { CallContext, EvaluateProgress, PlanSources } from '../../../../src/protocol/service.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { type Case, valuesOf, writeDecoder } from '../../network/decoders.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const caseOf = (kind: string) => CASES.find((each) => each.kind === kind)!;
const LLAMA = caseOf('llama');
const CONTEXT = 20;

/** A text of 600 tokens, some of them more frequent; it does not begin with a start token. */
const IDS = Array.from({ length: 600 }, (_, i) => {
  const h = Math.imul(i + 2, 2654435761) >>> 8;
  return h % (h % 3 === 0 ? 40 : 12);
});

/** Eigenvalues, descending, and eigenvectors (by columns) of a symmetric matrix, by Jacobi rotations in f64. */
function eigen(matrix: readonly (readonly number[])[]): { values: number[]; vectors: number[][] } {
  const n = matrix.length;
  const a = matrix.map((row) => [...row]);
  const v = a.map((_, i) => a.map((_row, j) => Number(i === j)));
  const off = () =>
    a.reduce((sum, row, i) => row.reduce((own, value, j) => own + (i === j ? 0 : value * value), sum), 0);
  const enough = 1e-24 * a.reduce((sum, row) => row.reduce((own, value) => own + value * value, sum), 0);
  for (let sweep = 0; sweep < 30 && off() > enough; sweep++)
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        if (Math.abs(a[p]![q]!) < 1e-300) continue;
        const theta = (a[q]![q]! - a[p]![p]!) / (2 * a[p]![q]!);
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        const s = t * c;
        const turn = (rows: number[][]) => {
          for (const row of rows) {
            const [x, y] = [row[p]!, row[q]!];
            [row[p], row[q]] = [c * x - s * y, s * x + c * y];
          }
        };
        turn(a);
        const [x, y] = [a[p]!, a[q]!];
        [a[p], a[q]] = [x.map((value, k) => c * value - s * y[k]!), x.map((value, k) => s * value + c * y[k]!)];
        turn(v);
      }
  const order = [...a.keys()].sort((i, j) => a[j]![j]! - a[i]![i]!);
  return { values: order.map((k) => a[k]![k]!), vectors: v.map((row) => order.map((k) => row[k]!)) };
}

const product = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]) =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)));
const transposed = (a: readonly (readonly number[])[]) => a[0]!.map((_, j) => a.map((row) => row[j]!));
const rowsOf = (values: ArrayLike<number>, cols: number) =>
  Array.from({ length: values.length / cols }, (_, i) =>
    Array.from({ length: cols }, (_v, j) => values[i * cols + j]!),
  );

/** The tensor itself, or the experts of a stack. */
const matricesIn = (tensor: string, [count, ...shape]: readonly number[]) =>
  shape.length < 2 ? [tensor] : Array.from({ length: count! }, (_, expert) => `${tensor}[${expert}]`);

/** The values of a tensor, or of an expert of a stack. */
function valuesIn({ seed, tensors }: Case, name: string): number[] {
  const { stack = name, expert = 0 } = expertOfStack(name) ?? {};
  const [count, ...shape] = tensors[stack]!;
  const values = valuesOf(seed, stack, [count!, ...shape]);
  if (stack === name) return values;
  const size = values.length / count!;
  return values.slice(expert * size, (expert + 1) * size);
}

describe('a plan from what a text does', function () {
  this.timeout(120_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());

  const idsFile = (ids: readonly number[] = IDS) => {
    const file = folder.path(`ids${ids.length}.json`);
    return existsSync(file) ? file : folder.write(`ids${ids.length}.json`, JSON.stringify(ids));
  };
  const text = (ids?: readonly number[]) => ({ ids: idsFile(ids), context: CONTEXT });
  const planOf = (
    path: string,
    sources: PlanSources,
    request: Partial<PlanRequest> = {},
    context: CallContext<EvaluateProgress> = {},
  ) =>
    service.plan(
      {
        path,
        request: { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.8 }, spread: 'loss', ...request },
        sources,
        threads: 2,
      },
      context,
    );
  const ranks = ({ matrices }: Plan) => matrices.map(({ rank }) => rank);

  /** R^T R of the inputs of each matrix, over the same windows. */
  async function secondMoments(path: string): Promise<Map<string, number[][]>> {
    const out = folder.path('x.activations.safetensors');
    await service.calibrate({ path, out, ...text(), threads: 2, overwrite: true });
    const statistics = await openStatistics(out);
    const grams = new Map<string, number[][]>();
    for (const entry of statistics.entries) {
      const values = new Float32Array(entry.length);
      await entry.read(0, values);
      const r = rowsOf(values, Math.sqrt(values.length));
      grams.set(entry.name, product(transposed(r), r));
    }
    await statistics.close();
    return grams;
  }

  for (const kind of ['llama', 'gpt2', 'gpt_neox', 'mixtral', 'mixtral stacked'])
    it(`measures each matrix's tail energies and its KL as a file with that matrix cut has them, for ${kind}`, async () => {
      const known = caseOf(kind);
      const isStoredAsIn = kind === 'gpt2';
      const path = writeDecoder(folder.path('model'), known);
      const { sensitivities, matrices } = await planOf(path, { text: text() });
      const grams = await secondMoments(path);
      assert.deepEqual(sensitivities!.inputs, { kind: 'full', text: 'ids600.json', tokens: 600 });
      const shapes = new Map(matrices.map(({ name, shape }) => [name, shape]));
      const cuts = new Map<string, Map<string, number[][]>>();
      for (const own of sensitivities!.matrices) {
        const { name, singularValues, rest, divergence } = own;
        const [m, n] = shapes.get(name)!;
        const stored = rowsOf(valuesIn(known, name), isStoredAsIn ? m : n);
        const w = isStoredAsIn ? transposed(stored) : stored;
        const { values, vectors } = eigen(product(product(w, grams.get(name)!), transposed(w)));
        const whole = values.reduce((sum, value) => sum + value, 0);
        assert.equal(singularValues.length, breakEvenRank(m, n));
        const close = (found: number, right: number, what: string) =>
          assert.ok(Math.abs(found - right) <= 1e-4 * whole, `${name} ${what}: ${found}, not ${right}`);
        for (const [k, value] of singularValues.entries()) close(value ** 2, values[k]!, `value ${k}`);
        close(
          rest,
          values.slice(singularValues.length).reduce((sum, value) => sum + value, 0),
          'rest',
        );
        const rank = Math.max(1, Math.floor((0.1 * m * n) / (m + n)));
        assert.equal(divergence!.rank, rank);
        close(
          divergence!.tail,
          values.slice(rank).reduce((sum, value) => sum + value, 0),
          'tail',
        );
        const u = vectors.map((row) => row.slice(0, rank));
        const cut = product(u, product(transposed(u), w));
        const unit = name.replace(/experts\.\d+|\[\d+\]/, 'experts');
        cuts.set(unit, (cuts.get(unit) ?? new Map()).set(name, isStoredAsIn ? transposed(cut) : cut));
      }
      const files = [...cuts.values()].map((replaced, k) =>
        writeDecoder(folder.path(`cut${k}`), known, (tensor, shape) =>
          matricesIn(tensor, shape).flatMap((name) => replaced.get(name)?.flat() ?? valuesIn(known, name)),
        ),
      );
      const { variants } = await service.evaluate({ path, files, ...text(), threads: 2 });
      for (const [k, replaced] of [...cuts.values()].entries()) {
        const own = sensitivities!.matrices.filter(({ name }) => replaced.has(name));
        const found = own.reduce((sum, { divergence }) => sum + divergence!.value, 0);
        const right = variants[k]!.divergence.mean;
        assert.ok(Math.abs(found - right) <= 2e-3 * right + 1e-6, `KL of ${own[0]!.name}: ${found}, not ${right}`);
        for (const { divergence } of own) assert.equal(divergence!.from, own.length > 1 ? 'role' : 'matrix');
      }
      assert.equal(sensitivities!.divergences!.measured, sensitivities!.matrices.length);
      assert.equal(sensitivities!.divergences!.filledIn, 0);
    });

  it('is the same from a file of statistics as from the text itself, and from its own file', async () => {
    const path = writeDecoder(folder.path('model'), LLAMA);
    const activations = folder.path('x.activations.safetensors');
    await service.calibrate({ path, out: activations, ...text(), threads: 2 });
    for (const spread of ['activations', 'loss'] as const) {
      const direct = await planOf(path, { text: text() }, { spread });
      const viaFile = await planOf(path, { activations, ...(spread === 'loss' ? { text: text() } : {}) }, { spread });
      assert.deepEqual(ranks(viaFile), ranks(direct));
      assert.equal(viaFile.sensitivities!.divergences !== undefined, spread === 'loss');
      const read = parsePlan(JSON.stringify(direct), 'plan.json');
      assert.deepEqual(read, direct);
      const again = await planOf(path, { from: read }, { spread });
      assert.deepEqual(again, direct);
    }
  });

  it('takes another budget from what was measured, without measuring', async () => {
    const path = writeDecoder(folder.path('model'), LLAMA);
    const first = await planOf(path, { text: text() });
    const messages: string[] = [];
    const progress = ({ message }: EvaluateProgress) => messages.push(message);
    const budget = { kind: 'keep', value: 0.6 } as const;
    const second = await planOf(path, { text: text() }, { budget }, { progress });
    const third = await planOf(path, { from: first }, { budget }, { progress });
    assert.deepEqual(messages, []);
    assert.deepEqual(third, second);
    assert.notDeepEqual(ranks(second), ranks(first));
    assert.ok(second.totals.keptShare <= 0.6);
    // A plan by activations needs less than is known.
    await planOf(path, { from: first }, { budget, spread: 'activations' }, { progress });
    assert.deepEqual(messages, []);
  });

  it('takes what another process measured on the same windows from the disk, whatever the device', async () => {
    const path = writeDecoder(folder.path('model'), LLAMA);
    const cacheFolder = folder.path('cache');
    const planned = async (minutes?: number, own = path, engine = 'wasm', ids = text()) => {
      const other = createService({ cacheFolder });
      const messages: string[] = [];
      const request = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.7 }, spread: 'loss' } as const;
      const sources = { text: ids, ...(minutes === undefined ? {} : { minutes }) };
      const progress = ({ message }: EvaluateProgress) =>
        void (message === 'Reading the text' || messages.push(message));
      try {
        const plan = await other.plan({ path: own, request, sources, engine, threads: 1 }, { progress });
        return { plan, isMeasured: messages.length > 0 };
      } finally {
        await other.close();
      }
    };
    // What was cut short serves those who allow no more time.
    const short = await planned(1e-9);
    assert.ok(short.isMeasured && short.plan.sensitivities!.divergences!.filledIn > 0);
    assert.deepEqual(await planned(1e-9), { plan: short.plan, isMeasured: false });
    const first = await planned();
    assert.ok(first.isMeasured);
    assert.deepEqual(await planned(), { plan: first.plan, isMeasured: false });
    assert.deepEqual(await planned(1e-9, path, 'reference'), { plan: first.plan, isMeasured: false });
    assert.ok((await planned(undefined, path, 'wasm', text(IDS.slice(0, 580)))).isMeasured, 'other windows');
    const config = { ...LLAMA.config, rms_norm_eps: 1e-3 };
    assert.ok((await planned(undefined, writeDecoder(folder.path('other'), { ...LLAMA, config }))).isMeasured);
    writeDecoder(folder.path('model'), { ...LLAMA, config });
    assert.ok((await planned()).isMeasured, 'another configuration');
  });

  it('leaves embedding and head dense, and cuts them with a warning where they are included', async () => {
    const tied = writeDecoder(folder.path('tied'), caseOf('gemma'));
    const usual = await planOf(tied, { text: text() });
    const embedding = usual.matrices.find(({ name }) => /embed/.test(name))!;
    assert.match(embedding.reason!, /embedding that is a head as well \(tied\), dense by default/);
    const cut = await planOf(tied, { text: text() }, { include: ['embedding'], budget: { kind: 'keep', value: 0.31 } });
    const own = cut.sensitivities!.matrices.find(({ name }) => name === embedding.name)!;
    assert.ok(own.divergence!.value > 0 && own.divergence!.from === 'matrix');
    assert.match(cut.notes!.join(), /tied/);
  });

  it('fills in what the time does not allow, geometrically between the layers that were measured', async () => {
    const known = caseOf('smollm3');
    const path = writeDecoder(folder.path('model'), known);
    const { sensitivities, notes } = await planOf(path, { text: text(), minutes: 1e-9 });
    // More time measures what is missing.
    const whole = (await planOf(path, { text: text(), minutes: 10 })).sensitivities!;
    assert.equal(whole.divergences!.filledIn, 0);
    const { measured, filledIn } = sensitivities!.divergences!;
    assert.ok(measured > 0 && filledIn > 0 && measured + filledIn === whole.matrices.length, `${measured}`);
    assert.match(notes!.join(), new RegExp(`measuring the KL divergence of ${measured} of ${whole.matrices.length}`));
    for (const { name, divergence } of sensitivities!.matrices) {
      const right = whole.matrices.find((each) => each.name === name)!.divergence!;
      // One layer was measured, and the others have what it has in the same role.
      const same = sensitivities!.matrices.find(
        (each) => each.divergence!.from === 'matrix' && each.name.replace(/\d+/, '') === name.replace(/\d+/, ''),
      )!;
      if (divergence!.from === 'matrix') assert.deepEqual(divergence, right);
      else assert.deepEqual(divergence, { ...right, value: same.divergence!.value, from: 'neighbours' });
    }
  });

  it('is evaluated and applied, with a warning where the weights alone are truncated or the text is the same', async () => {
    const path = writeDecoder(folder.path('model'), LLAMA);
    const plan = await planOf(path, { text: text() });
    const plans = [{ name: 'plan.json', plan }];
    const { variants, notes } = await service.evaluate({ path, plans, ...text(), threads: 2 });
    assert.equal(variants[0]!.size.cut!.parametersAfter, plan.totals.parametersAfter);
    assert.match(notes.join(), /plan\.json has ranks for matrices that are truncated on what they read/);
    assert.match(notes.join(), /come from ids600\.json as well: measure on another text/);
    const apply = { path, plan, out: folder.path('small.safetensors'), smokeTest: false, threads: 2 };
    const plain = await service.apply(apply);
    assert.match(plain.remarks!.join(), /--calibration/);
    const calibration = text();
    const better = await service.apply({ ...apply, overwrite: true, calibration });
    assert.equal(better.remarks, undefined);
    assert.equal(better.parametersAfter, plain.parametersAfter);
  });

  it('warns of fewer tokens than columns', async () => {
    const path = writeDecoder(folder.path('model'), LLAMA);
    const { notes } = await planOf(path, { text: text(IDS.slice(0, 40)) });
    assert.match(notes!.join(), /2 of 14 matrices saw fewer tokens of ids40\.json \(40\).*up to 48/);
  });

  describe('is refused', () => {
    const refuses = (work: Promise<unknown>, code: string, pattern: RegExp) =>
      assert.rejects(work, (error) => {
        assert.ok(error instanceof RankscopeError, String(error));
        assert.equal(error.code, code);
        assert.match(`${error.message}`, pattern);
        return true;
      });

    it('without a text, or with one that is too short', async () => {
      const path = writeDecoder(folder.path('model'), LLAMA);
      await refuses(planOf(path, {}), 'wrong-use', /no text on which the loss/);
      await refuses(planOf(path, {}, { spread: 'activations' }), 'wrong-use', /neither statistics of activations nor/);
      await refuses(planOf(path, { text: text([1, 2, 3]) }), 'wrong-use', /\d tokens, fewer than/);
    });

    it('for weights that are NaN, with their name', async () => {
      const path = writeDecoder(folder.path('model'), LLAMA, (name, shape) => {
        const values = valuesOf(LLAMA.seed, name, shape);
        if (name.endsWith('layers.1.mlp.up_proj.weight')) values[5] = Number.NaN;
        return values;
      });
      await refuses(planOf(path, { text: text() }), 'not-finite', /layers\.1\.mlp\.up_proj/);
    });

    it('with statistics or a plan of another model, with the differences', async () => {
      const path = writeDecoder(folder.path('model'), LLAMA);
      const other = writeDecoder(folder.path('other'), caseOf('gpt2'));
      const activations = folder.path('x.activations.safetensors');
      await service.calibrate({ path: other, out: activations, ...text(), threads: 2 });
      await refuses(planOf(path, { activations, text: text() }), 'wrong-use', /statistics of another model/);
      const from = await planOf(other, { text: text() });
      await refuses(planOf(path, { from }), 'wrong-use', /it has .* the plan is for/);
    });

    it('when cancelled in the middle, and works the next time', async () => {
      const path = writeDecoder(folder.path('model'), LLAMA);
      for (const at of [/Activations/, /KL of/]) {
        const abort = new AbortController();
        const progress = ({ message }: EvaluateProgress) => {
          if (at.test(message)) abort.abort();
        };
        await refuses(planOf(path, { text: text() }, {}, { signal: abort.signal, progress }), 'cancelled', /./);
      }
      assert.equal((await planOf(path, { text: text() })).unmet, undefined);
    });
  });
});
