import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { connect, type RemoteService } from '../../../src/protocol/channel.ts';
import { processPort } from '../../../src/protocol/processPort.ts';
import { testFolder } from '../formats/folder.ts';
import { type Case, writeDecoder } from '../network/decoders.ts';
import { processorTimeOf } from '../processorTime.ts';
import { deferred } from '../protocol/deferred.ts';
import { diagonal, noise, writeMatrices } from '../service/matrices.ts';

const ENGINE = fileURLToPath(new URL('../../../dist/engine.js', import.meta.url));

const COUNT = 12;

interface Engine {
  readonly child: ChildProcess;
  readonly service: RemoteService;
}

describe('the engine process', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const engines: Engine[] = [];

  function startEngine(...more: string[]): Engine {
    if (!existsSync(ENGINE)) throw new Error(`${ENGINE} is missing: run "npm run build" once`);
    const child = fork(ENGINE, ['--cache', folder.path('cache'), ...more], {
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: [],
    });
    const engine = { child, service: connect(processPort(child)) };
    engines.push(engine);
    return engine;
  }

  afterEach(async () => {
    for (const { child } of engines.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });

  const manyLarge = () =>
    writeMatrices(
      folder.path('large.safetensors'),
      Object.fromEntries(Array.from({ length: COUNT }, (_, i) => [`layers.${i}.w.weight`, noise(300, 300, i)])),
    );

  it('analyzes a checkpoint that it opens itself, and answers a click with the spectrum', async () => {
    const { service } = startEngine();
    const path = writeMatrices(folder.path('a.safetensors'), { 'layers.0.w.weight': diagonal(3, 4) });
    assert.equal((await service.open({ path })).matrices.length, 1);
    const findings: string[] = [];
    const { matrices } = await service.analyze(
      { path, threads: 2 },
      { progress: ({ finding }) => void (finding && findings.push(finding.name)) },
    );
    assert.deepEqual(findings, ['layers.0.w.weight']);
    assert.ok(Math.abs((matrices[0]?.frobeniusNorm ?? 0) - 5) < 1e-6);
    const { singularValues } = await service.spectrum({ path, name: 'layers.0.w.weight' });
    assert.deepEqual(singularValues.map(Math.fround), [4, 3]);
  });

  it('fails every pending call with the reason when killed during a run, and a new process resumes from the cache', async () => {
    const path = manyLarge();
    const engine = startEngine();
    const twoFound = deferred();
    let found = 0;
    const pending: Promise<unknown>[] = [
      engine.service.analyze(
        { path, threads: 2 },
        { progress: ({ finding }) => finding && ++found === 2 && twoFound.resolve() },
      ),
    ];
    await twoFound.promise;
    pending.push(
      engine.service.spectrum({ path, name: `layers.${COUNT - 1}.w.weight` }),
      engine.service.analyze({ path, threads: 2, cache: false }),
    );
    engine.child.kill('SIGKILL');
    for (const call of pending) await assert.rejects(call, { code: 'engine', message: /killed by SIGKILL/ });

    const cached = (readdirSync(folder.path('cache'), { recursive: true }) as string[]).filter((name) =>
      name.endsWith('.spectrum'),
    );
    assert.ok(cached.length >= 2);
    const { matrices } = await startEngine().service.analyze({ path, threads: 2 });
    assert.equal(matrices.length, COUNT);
  });

  it('fails an evaluation with the reason when killed in the middle, and a new process evaluates', async () => {
    const [known] = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as [Case];
    const path = writeDecoder(folder.path('model'), known);
    const ids = folder.write('ids.json', JSON.stringify(known.ids));
    const engine = startEngine();
    const begun = deferred();
    const run = engine.service.evaluate(
      { path, ids, context: 5, ranks: [2, 4, 6, 8], threads: 1 },
      { progress: ({ total }) => total > 0 && begun.resolve() },
    );
    await begun.promise;
    engine.child.kill('SIGKILL');
    await assert.rejects(run, { code: 'engine', message: /killed by SIGKILL/ });
    const { text } = await startEngine().service.evaluate({ path, ids, context: 5, threads: 1 });
    assert.equal(text.windows, 4);
  });

  it('stops within 200 ms of processor time after a cancellation, and serves the next call', async () => {
    const path = manyLarge();
    const engine = startEngine();
    const latencies: number[] = [];
    // Processor time counts all threads: two compute while one answers.
    const limit = 3 * 200;
    while (latencies.length < 5 && !latencies.some((latency) => latency < limit)) {
      const cancel = new AbortController();
      let spent = () => Number.NaN;
      cancel.signal.addEventListener('abort', () => {
        spent = processorTimeOf(engine.child.pid!);
      });
      const run = engine.service.analyze(
        { path, threads: 2, cache: false },
        { signal: cancel.signal, progress: ({ finding }) => finding && cancel.abort() },
      );
      await assert.rejects(run, { code: 'cancelled' });
      latencies.push(spent());
    }
    assert.ok(Math.min(...latencies) < limit, `${latencies.join(', ')} ms`);
    assert.equal((await engine.service.open({ path })).matrices.length, COUNT);
  });

  it('passes on the code and the remedy of an error', async () => {
    const { service } = startEngine();
    await assert.rejects(
      service.open({ path: folder.path('none') }),
      (error: Error & { code?: string; remedy?: string }) => {
        assert.equal(error.code, 'not-found');
        assert.notEqual(error.remedy, '');
        return true;
      },
    );
  });

  it('exits when the process that started it disconnects', async () => {
    const engine = startEngine();
    await engine.service.prioritize({ path: '', names: [] });
    const end = once(engine.child, 'exit');
    engine.child.disconnect();
    const [code] = (await end) as [number | null];
    assert.equal(code, 0);
  });

  it('exits even during a run, and leaves no temporary file in the cache', async () => {
    const path = manyLarge();
    const engine = startEngine();
    const found = deferred();
    const run = engine.service.analyze({ path, threads: 2 }, { progress: ({ finding }) => finding && found.resolve() });
    await found.promise;
    const end = once(engine.child, 'exit');
    const before = performance.now();
    engine.child.disconnect();
    await assert.rejects(run, { code: 'engine' });
    await end;
    // Without noticing the disconnection, the process would never exit.
    assert.ok(performance.now() - before < 20_000);
    const left = (readdirSync(folder.path('cache'), { recursive: true }) as string[]).filter((name) =>
      name.endsWith('.tmp'),
    );
    assert.deepEqual(left, []);
  });

  it('removes a half-written checkpoint when its parent disconnects', async () => {
    const path = manyLarge();
    const engine = startEngine();
    const request = {
      budget: { kind: 'rank', value: 40 },
      spread: 'uniform',
      multiple: 1,
      exclude: [],
      overrides: {},
      factors: 2,
    } as const;
    const plan = await engine.service.plan({ path, request, threads: 2 });
    const files = readdirSync(folder.path()).sort();
    const writing = deferred();
    const run = engine.service.apply(
      { path, plan, out: folder.path('out.safetensors') },
      { progress: ({ done }) => done === 4 && writing.resolve() },
    );
    await writing.promise;
    assert.notDeepEqual(readdirSync(folder.path()).sort(), files);
    const end = once(engine.child, 'exit');
    engine.child.disconnect();
    await assert.rejects(run, { code: 'engine' });
    await end;
    assert.deepEqual(readdirSync(folder.path()).sort(), files);
  });

  it('explains how to start it, and exits with 2, when started without its options', async () => {
    const child = fork(ENGINE, [], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], execArgv: [] });
    let text = '';
    child.stderr?.on('data', (piece) => (text += String(piece)));
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 2);
    assert.match(text, /--cache/);
  });
});
