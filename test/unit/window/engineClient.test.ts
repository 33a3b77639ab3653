import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import esbuild from 'esbuild';
import { EngineClient } from '../../../src/window/engine/engineClient.ts';
import { startEngine } from '../../../src/window/engine/engineProcess.ts';
import type { Runtime } from '../../../src/window/engine/runtimes.ts';
import { SAMPLE } from './inProcess.ts';

const here: Runtime = { execPath: process.execPath, env: {}, what: 'this Node' };

describe('the engine client', () => {
  let folder: string;
  let client: EngineClient;
  const lines: string[] = [];
  const program = () => ({
    script: join(folder, 'engine.mjs'),
    env: {},
    arguments: ['--cache', join(folder, 'cache')],
    log: (line: string) => void lines.push(line),
  });

  before(async () => {
    folder = mkdtempSync(join(os.tmpdir(), 'rankscope-engine-'));
    await esbuild.build({
      entryPoints: ['src/process/main.ts'],
      outfile: program().script,
      bundle: true,
      platform: 'node',
      format: 'esm',
      external: ['webgpu', '@tensorflow/*'],
      banner: { js: `import { createRequire as r } from 'node:module'; const require = r(import.meta.url);` },
      logLevel: 'error',
    });
    writeFileSync(join(folder, 'dies.mjs'), 'console.error("no good"); process.exit(3);\n');
  });
  beforeEach(() => {
    lines.length = 0;
    client = new EngineClient(() => startEngine([here], program()));
  });
  afterEach(() => client.stop());
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('starts one process for concurrent calls, and reports how many are pending', async () => {
    const counts: number[] = [];
    client.busy.on((count) => counts.push(count));
    const open = () => client.service.open({ path: SAMPLE });
    const [one, two] = await Promise.all([open(), open()]);
    assert.deepEqual(one, two);
    assert.deepEqual(counts, [1, 2, 1, 0]);
    assert.equal(lines.filter((line) => line.includes('runs on')).length, 1);
  });

  it('rejects pending calls when the process is killed, reports its death once, and starts a new one', async () => {
    await client.service.open({ path: SAMPLE });
    const deaths: { reason: string }[] = [];
    client.died.on((death) => deaths.push(death));
    const first = client.pid ?? assert.fail('no process');
    const pending = client.service.analyze({ path: SAMPLE, engine: 'reference', cache: false });
    process.kill(first, 'SIGKILL');
    await assert.rejects(pending, { code: 'engine', message: /SIGKILL/ });
    await client.service.open({ path: SAMPLE });
    assert.notEqual(client.pid, first);
    assert.equal(deaths.length, 1);
    assert.match(deaths[0]?.reason ?? '', /SIGKILL/);
  });

  it('replaces the process for new settings once no call is pending', async () => {
    await client.service.open({ path: SAMPLE });
    const first = client.pid;
    client.renew();
    assert.equal(client.pid, undefined);
    await client.service.open({ path: SAMPLE });
    const second = client.pid ?? assert.fail('no process');
    assert.notEqual(second, first);
    const opening = client.service.open({ path: SAMPLE });
    client.renew();
    await opening;
    await new Promise((resolve) => setTimeout(resolve));
    assert.equal(client.pid, undefined);
  });

  it('tries the next runtime when one does not start, and logs which', async () => {
    const missing: Runtime = { execPath: join(folder, 'no-node'), env: {}, what: 'the setting' };
    const engine = await startEngine([missing, here], program());
    assert.equal(engine.runtime, here);
    assert.ok(lines.some((line) => line.includes('not started on the setting')));
    engine.kill();
    await engine.ended;
  });

  it('names every runtime that was tried when none starts', async () => {
    const broken = { ...program(), script: join(folder, 'dies.mjs') };
    client = new EngineClient(() => startEngine([here], broken));
    await assert.rejects(client.service.open({ path: SAMPLE }), { code: 'engine', message: /this Node .*code 3/ });
    assert.ok(lines.some((line) => line.includes('no good')));
  });

  it('starts a new process after it was stopped', async () => {
    await client.service.open({ path: SAMPLE });
    const first = client.pid;
    client.stop();
    await client.service.open({ path: SAMPLE });
    assert.notEqual(client.pid, first);
  });
});
