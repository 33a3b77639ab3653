import assert from 'node:assert/strict';
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Analysis } from '../../../src/model/findings.ts';
import type { PlanRequest } from '../../../src/model/plan/plan.ts';
import type { AnalysisProgress, Service } from '../../../src/protocol/service.ts';
import { createService } from '../../../src/service/service.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { testFolder } from '../formats/folder.ts';
import { safetensorsBytes } from '../formats/safetensorsBytes.ts';
import { processorTime } from '../processorTime.ts';
import { diagonal, noise, type TestMatrix, writeMatrices } from './matrices.ts';

const THREADS = 2;
const KEEP_HALF: PlanRequest = {
  budget: { kind: 'keep', value: 0.5 },
  spread: 'optimal',
  multiple: 1,
  exclude: [],
  overrides: {},
  factors: 2,
};

describe('the service', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let lines: string[];
  // One for all tests, since its engine takes a second to start; every test has files of its own, and so its own
  // results.
  let service: ReturnType<typeof createService>;
  let sharedCache: string;
  const cacheFolder = () => folder.path('cache');
  /** As another process would see the test's own cache. */
  const another = () => createService({ cacheFolder: cacheFolder(), log: (line) => lines.push(line) });
  const entries = () =>
    (readdirSync(cacheFolder(), { recursive: true }) as string[]).filter((name) => name.endsWith('.spectrum'));
  const names = ({ matrices }: Analysis) => matrices.map(({ name }) => name);
  const many = (count: number, size = 24): Record<string, TestMatrix> =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`layers.${i}.w.weight`, noise(size, size, i + 1)]));

  before(() => {
    sharedCache = mkdtempSync(join(tmpdir(), 'rankscope-cache-'));
    service = createService({ cacheFolder: sharedCache });
  });
  after(async () => {
    await service.close();
    rmSync(sharedCache, { recursive: true });
  });
  beforeEach(() => {
    lines = [];
  });

  it('finds the singular values and measures of every matrix, and reports each as soon as it is known', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), {
      'layers.0.w.weight': diagonal(3, 4),
      'layers.1.w.weight': diagonal(5, 0, 12),
    });
    const steps: AnalysisProgress[] = [];
    const analysis = await service.analyze(
      { path: file, values: true, threads: THREADS },
      { progress: (step) => void steps.push(step) },
    );
    const [first, second] = analysis.matrices;
    assert.deepEqual(first?.singularValues?.map(Math.fround), [4, 3]);
    const [largest = 0, middle = 0, least = 1] = second?.singularValues ?? [];
    assert.deepEqual([largest, middle].map(Math.fround), [12, 5]);
    assert.ok(Math.abs(least) < 12 * 2 ** -23);
    assert.ok(Math.abs((first?.frobeniusNorm ?? 0) - 5) < 1e-6);
    assert.equal(second?.numericalRank, 2);
    assert.equal(first?.layer, 0);
    // Small ones are computed side by side, so that either may be known first.
    assert.deepEqual(steps.flatMap(({ finding }) => finding?.name ?? []).toSorted(), names(analysis));
    assert.equal(steps.find(({ engine }) => engine)?.engine?.name, analysis.engine.name);
    const last = steps.at(-1);
    assert.deepEqual([last?.done, last?.total], [2, 2]);
    assert.ok((last?.secondsLeft ?? -1) >= 0);
  });

  it('omits the singular values unless requested', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(1));
    const { matrices } = await service.analyze({ path: file, threads: THREADS });
    assert.equal('singularValues' in matrices[0]!, false);
  });

  it('analyzes only the matrices that match, and refuses a pattern that matches none', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(12));
    const analysis = await service.analyze({ path: file, tensors: ['layers.1*'], threads: THREADS });
    assert.deepEqual(names(analysis), ['layers.1.w.weight', 'layers.10.w.weight', 'layers.11.w.weight']);
    const none = service.analyze({ path: file, tensors: ['nothing*'], threads: THREADS });
    await assert.rejects(none, { code: 'wrong-use', message: /nothing\*/ });
  });

  it('computes prioritized matrices next', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(40));
    const order: string[] = [];
    const wished = ['layers.39.w.weight', 'layers.20.w.weight'];
    await service.analyze(
      { path: file, threads: THREADS },
      {
        progress({ finding }) {
          if (!finding) return;
          order.push(finding.name);
          if (order.length === 5) void service.prioritize({ path: file, names: wished });
        },
      },
    );
    assert.equal(new Set(order).size, 40);
    // Some are on their way already when the wish is heard: on each thread one that is computed and one that is read.
    for (const name of wished) assert.ok(order.indexOf(name) < 15, `${name} came as number ${order.indexOf(name)}`);
  });

  it('ignores priorities if nothing is running', async () => {
    assert.equal(await service.prioritize({ path: '', names: [] }), undefined);
  });

  it('counts tensors of equal content once, and names them', async () => {
    const same = noise(20, 10, 1);
    const file = writeMatrices(folder.path('a.safetensors'), { 'embed.weight': same, 'head.weight': same });
    const analysis = await service.analyze({ path: file, threads: THREADS });
    assert.deepEqual(names(analysis), ['embed.weight']);
    assert.deepEqual(analysis.ties, [['embed.weight', 'head.weight']]);
    assert.equal(analysis.checkpoint.parameters, 200);
    const { singularValues } = await service.spectrum({ path: file, name: 'head.weight' });
    assert.equal(singularValues.length, 10);
  });

  it('skips a matrix with NaN or infinity by name, and continues', async () => {
    const bad = noise(6, 6, 1);
    bad.values[7] = Number.NaN;
    const file = writeMatrices(folder.path('a.safetensors'), {
      'layers.0.w.weight': bad,
      'layers.1.w.weight': diagonal(2, 1),
    });
    const skippedOnTheWay: string[] = [];
    const analysis = await service.analyze(
      { path: file, threads: THREADS },
      { progress: ({ skipped }) => void (skipped && skippedOnTheWay.push(skipped.name)) },
    );
    assert.deepEqual(names(analysis), ['layers.1.w.weight']);
    assert.deepEqual(skippedOnTheWay, ['layers.0.w.weight']);
    assert.equal(analysis.skipped[0]?.name, 'layers.0.w.weight');
    assert.match(analysis.skipped[0]?.reason ?? '', /\[1, 1\] is NaN/);
  });

  it('names the matrices with NaN and infinity in a real file', async function () {
    const file = checkpointPath(this, 'malformed-safetensors/real_nan_inf_VALID.safetensors');
    const analysis = await service.analyze({ path: file, threads: THREADS });
    const reasons = analysis.skipped.map(({ reason }) => reason).join('\n');
    assert.match(reasons, /NaN|Infinity/);
  });

  it('skips a matrix too large for memory, with its size, and continues', async function () {
    const size = 600_000;
    const file = folder.path('huge.safetensors');
    const small = diagonal(2, 1).values;
    const bytes = size * size * 4;
    const header = safetensorsBytes({
      'layers.0.small.weight': { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] },
      'layers.0.huge.weight': { dtype: 'F32', shape: [size, size], data_offsets: [16, 16 + bytes] },
    });
    writeFileSync(file, Buffer.concat([header, Buffer.from(small.buffer)]));
    const handle = openSync(file, 'r+');
    try {
      ftruncateSync(handle, header.length + 16 + bytes);
    } catch (error) {
      this.test!.title += ` [skipped: the file system holds no sparse file of ${bytes} bytes: ${String(error)}]`;
      this.skip();
    } finally {
      closeSync(handle);
    }
    const analysis = await service.analyze({ path: file, threads: THREADS });
    assert.deepEqual(names(analysis), ['layers.0.small.weight']);
    assert.match(analysis.skipped[0]?.reason ?? '', /\d/);
  });

  it('returns the same result from the cache, immediately and in another process', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(6));
    const request = { path: file, values: true, threads: THREADS };
    const [first, second] = [another(), another()];
    const before = await first.analyze(request);
    assert.deepEqual(await second.analyze(request), before);
    assert.equal(entries().length, 6);
    assert.ok((await second.clearCache({})).bytes > 0);
    const again = await second.analyze(request);
    assert.notEqual(again.matrices[0]?.seconds, before.matrices[0]?.seconds);
    await Promise.all([first.close(), second.close()]);
  });

  it('neither reads nor writes the cache on request', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(3));
    const fresh = another();
    await fresh.analyze({ path: file, cache: false, threads: THREADS });
    await fresh.close();
    assert.throws(() => readdirSync(cacheFolder()), { code: 'ENOENT' });
  });

  it('recomputes a damaged cache entry', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(3));
    const request = { path: file, values: true, threads: THREADS };
    const fresh = another();
    const before = await fresh.analyze(request);
    await fresh.close();
    for (const name of entries()) {
      const entry = join(cacheFolder(), name);
      writeFileSync(entry, readFileSync(entry).fill(0, 40, 80));
    }
    const other = another();
    const after = await other.analyze(request);
    await other.close();
    assert.deepEqual(
      after.matrices.map(({ singularValues }) => singularValues),
      before.matrices.map(({ singularValues }) => singularValues),
    );
    assert.equal(lines.filter((line) => /damaged/.test(line)).length, 3);
  });

  it('works without a writable cache folder, with one warning', async () => {
    writeFileSync(cacheFolder(), 'in the way');
    const file = writeMatrices(folder.path('a.safetensors'), many(4));
    const fresh = another();
    const analysis = await fresh.analyze({ path: file, threads: THREADS });
    await fresh.close();
    assert.equal(analysis.matrices.length, 4);
    assert.equal(lines.filter((line) => /cannot be written/.test(line)).length, 1);
  });

  it('ends with "changed" when the file is rewritten during the run, and mixes nothing', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(30));
    let rewritten = false;
    const run = service.analyze(
      { path: file, threads: THREADS },
      {
        progress({ finding }) {
          if (!finding || rewritten) return;
          rewritten = true;
          rmSync(file);
          writeMatrices(file, { 'layers.0.w.weight': diagonal(7, 1) });
        },
      },
    );
    await assert.rejects(run, { code: 'changed', subject: file });
    const after = await service.analyze({ path: file, values: true, threads: THREADS });
    assert.deepEqual(
      after.matrices.map(({ singularValues }) => singularValues?.map(Math.fround)),
      [[7, 1]],
    );
  });

  it('ends with "changed" also where every result would come from the cache', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(3));
    await service.analyze({ path: file, threads: THREADS });
    const run = service.analyze(
      { path: file, threads: THREADS },
      { progress: ({ finding }) => finding && rmSync(file, { force: true }) },
    );
    await assert.rejects(run, { code: 'changed' });
    await assert.rejects(service.open({ path: file }), { code: 'not-found' });
  });

  it('notices on reopening that a file has changed', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(2));
    assert.equal((await service.open({ path: file })).matrices.length, 2);
    writeMatrices(file, many(3));
    assert.equal((await service.open({ path: file })).matrices.length, 3);
  });

  it('stops within 200 ms of a cancellation in the middle of a large matrix, and can continue', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), { 'layers.0.w.weight': noise(1800, 1800, 1) });
    const small = writeMatrices(folder.path('b.safetensors'), { 'w.weight': diagonal(2, 1) });
    // The engine is there before the clock runs.
    await service.analyze({ path: small, threads: THREADS });
    // The best of some: other work on the machine is not what is measured.
    const latencies: number[] = [];
    const limit = 200 * (THREADS + 1);
    while (latencies.length < 5 && !latencies.some((latency) => latency < limit)) {
      latencies.push(await cancellationLatency(service, file));
    }
    assert.ok(Math.min(...latencies) < limit, `${latencies.join(', ')} ms`);
    const spent = processorTime();
    await service.analyze({ path: small, cache: false, threads: THREADS });
    // The engine itself was stopped too, or this would have waited for the large matrix.
    assert.ok(spent() < 1000, 'the engine went on with the cancelled matrix');
  });

  it('keeps the results of a cancelled run', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(20));
    const cancel = new AbortController();
    let found = 0;
    const fresh = another();
    const run = fresh.analyze(
      { path: file, threads: THREADS },
      { signal: cancel.signal, progress: ({ finding }) => finding && ++found === 8 && cancel.abort() },
    );
    await assert.rejects(run, { code: 'cancelled' });
    await fresh.close();
    assert.ok(entries().length >= 8);
  });

  it('alternates between two analyses on one device', async () => {
    const paths = ['a', 'b'].map((name, i) =>
      writeMatrices(folder.path(`${name}.safetensors`), { ...many(10), [`layers.${i + 50}.w.weight`]: noise(9, 9, i) }),
    );
    const order: number[] = [];
    await Promise.all(
      paths.map((file, index) =>
        service.analyze({ path: file, threads: THREADS }, { progress: ({ finding }) => finding && order.push(index) }),
      ),
    );
    // Both have begun well before either has ended.
    assert.ok(order.indexOf(1) < 6 && order.indexOf(0) < 6, order.join(''));
    assert.equal(order.length, 22);
  });

  it('computes a clicked matrix before the rest of an analysis', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(30, 64));
    let found = 0;
    let foundAtAnswer = Number.POSITIVE_INFINITY;
    let click: Promise<void> | undefined;
    await service.analyze(
      { path: file, threads: THREADS },
      {
        progress({ finding }) {
          if (!finding) return;
          found++;
          click ??= service.spectrum({ path: file, name: 'layers.29.w.weight' }).then(({ singularValues }) => {
            assert.equal(singularValues.length, 64);
            foundAtAnswer = found;
          });
        },
      },
    );
    await click;
    assert.equal(found, 30);
    assert.ok(foundAtAnswer < 10, `answered after ${foundAtAnswer} matrices`);
  });

  it('refuses a name that is not a matrix', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(1));
    await assert.rejects(service.spectrum({ path: file, name: 'toString' }), {
      code: 'wrong-use',
      message: /toString/,
    });
  });

  it('computes missing spectra for a plan, and applies it within the predicted error', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(4, 32));
    const steps: number[] = [];
    // In their order on one thread; several would compute some of them side by side.
    const plan = await service.plan(
      { path: file, request: KEEP_HALF, threads: 1 },
      { progress: ({ done }) => void steps.push(done) },
    );
    assert.deepEqual(steps, [0, 1, 2, 3]);
    assert.ok(plan.totals.parametersAfter <= plan.totals.parametersBefore / 2);
    const out = folder.path('out.safetensors');
    const code = folder.path('out.py');
    const report = await service.apply({ path: file, plan, out, code, threads: THREADS });
    assert.deepEqual([report.out, report.code], [out, code]);
    assert.ok(report.matrices.length > 0);
    for (const { name, predictedError, measuredError } of report.matrices) {
      assert.ok(Math.abs(predictedError - measuredError) < 1e-4 * (1 + predictedError), name);
    }
    assert.equal((await service.open({ path: out })).parameters, report.parametersAfter);
    assert.match(readFileSync(code, 'utf8'), /def load_lowrank/);
  });

  it('keeps a matrix with NaN dense, with the reason, and plans the rest', async () => {
    const bad = noise(16, 16, 3);
    bad.values[0] = Number.POSITIVE_INFINITY;
    const file = writeMatrices(folder.path('a.safetensors'), { ...many(2), 'layers.9.w.weight': bad });
    const { matrices } = await service.plan({ path: file, request: KEEP_HALF, threads: THREADS });
    const dense = matrices.find(({ name }) => name === 'layers.9.w.weight');
    assert.equal(dense?.rank, null);
    assert.match(dense?.reason ?? '', /Infinity/);
  });

  it('refuses a plan for another checkpoint, the source as target, and an existing target', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(2));
    const other = writeMatrices(folder.path('b.safetensors'), many(3));
    const plan = await service.plan({ path: file, request: KEEP_HALF, threads: THREADS });
    const out = folder.path('out.safetensors');
    const before = readFileSync(file);
    await assert.rejects(service.apply({ path: other, plan, out }), { code: 'wrong-use', message: /new plan/ });
    await assert.rejects(service.apply({ path: file, plan, out: file, overwrite: true }), { code: 'wrong-use' });
    await assert.rejects(service.apply({ path: file, plan, out, code: out }), { code: 'wrong-use' });
    await assert.rejects(service.apply({ path: file, plan, out, code: file, overwrite: true }), { code: 'wrong-use' });
    writeFileSync(out, 'mine');
    await assert.rejects(service.apply({ path: file, plan, out }), { code: 'wrong-use' });
    assert.equal(readFileSync(out, 'utf8'), 'mine');
    assert.deepEqual(readFileSync(file), before);
  });

  it('leaves nothing behind after a cancelled apply', async () => {
    const file = writeMatrices(folder.path('a.safetensors'), many(6, 64));
    const plan = await service.plan({ path: file, request: KEEP_HALF, threads: THREADS });
    const files = readdirSync(folder.path()).sort();
    const cancel = new AbortController();
    const run = service.apply(
      { path: file, plan, out: folder.path('out.safetensors') },
      { signal: cancel.signal, progress: ({ done }) => done === 2 && cancel.abort() },
    );
    await assert.rejects(run, { code: 'cancelled' });
    assert.deepEqual(readdirSync(folder.path()).sort(), files);
  });
});

/**
 * Cancels an analysis after 200 ms; returns the milliseconds of processor time until it ended, all threads together.
 */
async function cancellationLatency(service: Service, file: string): Promise<number> {
  const cancel = new AbortController();
  const run = service.analyze({ path: file, cache: false, threads: THREADS }, { signal: cancel.signal });
  let spent = () => Number.NaN;
  setTimeout(() => {
    spent = processorTime();
    cancel.abort();
  }, 200);
  await assert.rejects(run, { code: 'cancelled' });
  return spent();
}
