import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { connect } from '../../../src/protocol/channel.ts';
import { processPort } from '../../../src/protocol/processPort.ts';
import { compileBlas, needCompiler } from '../devices/blas/compiledBlas.ts';
import { testFolder } from '../formats/folder.ts';
import { noise, writeMatrices } from '../service/matrices.ts';

const ENGINE = fileURLToPath(new URL('../../../dist/engine.js', import.meta.url));

describe('native libraries in the engine process', function () {
  this.timeout(60_000);
  const folder = testFolder();
  let child: ChildProcess | undefined;

  before(function () {
    needCompiler(this);
  });
  afterEach(() => void child?.kill('SIGKILL'));

  /** The reason of the engine's choice, with a library and a Python in the project that leave marks when they run. */
  async function reasonWith(...words: string[]): Promise<string> {
    mkdirSync(folder.path('project'), { recursive: true });
    // It is wrong, so that the search goes on to the Python.
    const macros = { MARK: `"${folder.path('loaded')}"`, WRONG: 'm==16' };
    const library = compileBlas(folder.path('project'), 'libopenblas.so', macros);
    const python = folder.write('project/bin/python3', `#!/bin/sh\necho > '${folder.path('asked')}'\n`);
    chmodSync(python, 0o755);
    child = fork(ENGINE, ['--cache', folder.path('cache'), ...words], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: [],
      env: { ...process.env, RANKSCOPE_BLAS: library, PATH: folder.path('project/bin') },
    });
    const service = connect(processPort(child));
    const path = writeMatrices(folder.path('project/a.safetensors'), { 'layers.0.w.weight': noise(20, 30, 1) });
    const { engine } = await service.analyze({ path, engine: 'cpu', threads: 1 });
    return engine.reason;
  }
  const marks = () => ['loaded', 'asked'].filter((name) => existsSync(folder.path(name)));

  it('are neither searched nor loaded without trust', async () => {
    assert.match(await reasonWith(), /with WASM kernels \(the workspace is not trusted\)\.$/);
    assert.deepEqual(marks(), []);
    assert.ok(!existsSync(folder.path('cache/blas.json')));
  });

  it('are never taken from an open folder, with trust', async () => {
    const reason = await reasonWith('--trusted', `--open=${folder.path('project')}`);
    assert.match(reason, /project\/libopenblas\.so lies in an open folder/);
    assert.match(reason, /the Python in \S+\/project\/bin lies in an open folder/);
    assert.deepEqual(marks(), []);
  });

  it('are never taken from an open folder where the setting or the Python extension names them', async () => {
    const reason = await reasonWith(
      '--trusted',
      `--open=${folder.path('project')}`,
      `--blas=${folder.path('project/libopenblas.so')}`,
      `--python=${folder.path('project/bin/python3')}`,
    );
    assert.match(reason, /project\/libopenblas\.so lies in an open folder/);
    assert.match(reason, /project\/bin\/python3 lies in an open folder/);
    assert.deepEqual(marks(), []);
  });

  it('are tried in other folders, with trust', async () => {
    const reason = await reasonWith('--trusted', `--open=${folder.path('elsewhere')}`);
    assert.match(reason, /libopenblas\.so/);
    assert.deepEqual(marks(), ['loaded', 'asked']);
  });
});
