import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { findBlas, LIMITS } from '../../../../src/devices/cpu/blas/find.ts';
import type { BlasPolicy } from '../../../../src/devices/cpu/blas/policy.ts';
import { withEnvironment } from '../../../../src/devices/cpu/blas/threads.ts';
import { testFolder } from '../../formats/folder.ts';
import { compileBlas, needCompiler } from './compiledBlas.ts';

const LIMITS_HERE = { ...LIMITS, python: 1500, mustWinBy: 0, namedMustWinBy: 0 };

describe('the search for a BLAS', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const find = (PATH: string, policy: Partial<BlasPolicy> = {}, more: Record<string, string> = {}) =>
    withEnvironment({ PATH, ...more }, () => findBlas({ openFolders: [], ...policy }, 1, LIMITS_HERE));

  /** A program called python3 in `place` that leaves a mark when it runs. @returns the mark */
  function program(place: string, then: string): string {
    const mark = folder.path(`${place.replaceAll('/', '-')}.ran`);
    const file = folder.write(`${place}/python3`, `#!/bin/sh\necho $$ > '${mark}'\n${then}\n`);
    chmodSync(file, 0o755);
    return mark;
  }
  const answer = (packages: string) => `echo '${JSON.stringify({ packages: [packages], prefixes: [] })}'`;

  before(function () {
    if (process.platform !== 'win32') return;
    this.test!.title += ' [skipped: programs are shell scripts here]';
    this.skip();
  });

  it('takes the library in the NumPy of the interpreter on the PATH', async function () {
    needCompiler(this);
    const packages = folder.path('site-packages');
    mkdirSync(join(packages, 'numpy.libs'), { recursive: true });
    const macros = { INT: 'int64_t', NAME: 'scipy_sgemm_64_' };
    const library = compileBlas(folder.path(), 'libscipy_openblas64_-fdde5778.so', macros);
    copyFileSync(library, join(packages, 'numpy.libs/libscipy_openblas64_-fdde5778.so'));
    program('bin', answer(packages));
    const { blas } = await find(folder.path('bin'));
    assert.equal(blas?.path, join(packages, 'numpy.libs/libscipy_openblas64_-fdde5778.so'));
    assert.equal(blas?.source, `NumPy of ${folder.path('bin/python3')}`);
    // The same where the workspace holds the packages, but not the interpreter: nothing is taken.
    const refused = await find(folder.path('bin'), { openFolders: [packages] });
    assert.notEqual(refused.blas?.path, blas?.path);
    assert.match(refused.refused.join('; '), /libscipy_openblas64_-fdde5778\.so lies in an open folder/);
  });

  it('asks the chosen interpreter before those on the PATH', async () => {
    const marks = [program('chosen', 'exit 1'), program('bin', 'exit 1')];
    const { refused } = await find(folder.path('bin'), { interpreter: folder.path('chosen/python3') });
    assert.deepEqual(marks.map(existsSync), [true, true]);
    assert.deepEqual(refused.slice(0, 2), [
      `${folder.path('chosen/python3')} did not say where its packages are`,
      `${folder.path('bin/python3')} did not say where its packages are`,
    ]);
  });

  it('never runs an interpreter of an open folder, whichever way the PATH leads to it', async () => {
    const mark = program('project/.venv/bin', 'exit 1');
    const inside = folder.path('project/.venv/bin');
    mkdirSync(folder.path('links'));
    symlinkSync(join(inside, 'python3'), folder.path('links/python3'));
    symlinkSync(folder.path('project'), folder.path('alias'));
    const open = { openFolders: [folder.path('project')] };
    for (const path of [inside, folder.path('links'), folder.path('alias/.venv/bin')]) {
      const { refused } = await find(path, open);
      assert.ok(refused.includes(`the Python in ${path} lies in an open folder`), refused.join('; '));
      const { refused: chosen } = await find('', { ...open, interpreter: join(path, 'python3') });
      assert.ok(chosen.includes(`${join(path, 'python3')} lies in an open folder`), chosen.join('; '));
    }
    assert.ok(!existsSync(mark));
    // The same folder, opened under its other name.
    await find(inside, { openFolders: [folder.path('alias')] });
    assert.ok(!existsSync(mark));
    await find(inside);
    assert.ok(existsSync(mark));
  });

  it('never follows a relative or empty entry of the PATH', async () => {
    const mark = program('here', 'exit 1');
    const before = process.cwd();
    process.chdir(folder.path('here'));
    try {
      await find(['', '.', '../here'].join(delimiter));
    } finally {
      process.chdir(before);
    }
    assert.ok(!existsSync(mark));
  });

  it('goes on to the next interpreter on the PATH after one in an open folder', async () => {
    const [inside, outside] = [program('project/bin', 'exit 1'), program('bin', 'exit 1')];
    const path = [folder.path('project/bin'), folder.path('bin')].join(delimiter);
    await find(path, { openFolders: [folder.path('project')] });
    assert.deepEqual([existsSync(inside), existsSync(outside)], [false, true]);
  });

  it('gives up on an interpreter that hangs, and ends all that it has started', async () => {
    const mark = program('bin', 'sleep 1000 &\necho $! >> "$0.child"\nsleep 1000');
    const started = performance.now();
    const { refused } = await find(folder.path('bin'), {}, { PATH: `${folder.path('bin')}:/usr/bin:/bin` });
    assert.match(refused.join('; '), /bin\/python3 gave no answer within 1\.5 s/);
    assert.ok(performance.now() - started < 30_000);
    const pids = [mark, `${folder.path('bin/python3')}.child`].map((file) => Number(readFileSync(file, 'utf8')));
    for (const pid of pids) await gone(pid);
  });

  it('takes the answer of an interpreter whose wrapper leaves a process behind', async () => {
    const pid = folder.path('pid');
    program('bin', `sleep 1000 &\necho $! > '${pid}'\n${answer(folder.path('site'))}`);
    const { refused } = await find(`${folder.path('bin')}:/usr/bin:/bin`);
    process.kill(Number(readFileSync(pid, 'utf8')), 'SIGKILL');
    assert.doesNotMatch(refused.join('; '), /bin\/python3 gave no answer/);
  });

  it('asks an interpreter without variables and folders that may lead it into an open folder', async () => {
    const told = folder.path('told');
    program('bin', `{ pwd; env; echo "$@"; } > '${told}'`);
    const variables = {
      PYTHONPATH: folder.path('project'),
      PYTHONSTARTUP: folder.path('project/start.py'),
      PYENV_VERSION: 'project',
      VIRTUAL_ENV: folder.path('project/.venv'),
    };
    await find(`${folder.path('bin')}:/usr/bin:/bin`, { openFolders: [folder.path('project')] }, variables);
    const text = readFileSync(told, 'utf8');
    assert.equal(text.split('\n')[0], '/');
    assert.doesNotMatch(text, /PYTHON[A-Z]|PYENV|VIRTUAL_ENV|project/);
    assert.match(text, /^-I -S -B -c/m);
  });

  it('loads nothing where the system’s loader would search an open folder or the current one', async () => {
    mkdirSync(folder.path('project'));
    const open = { openFolders: [folder.path('project'), process.cwd()] };
    for (const list of [folder.path('project'), `/usr/lib:${folder.path('project/lib')}`, ':/usr/lib', 'lib']) {
      const found = await find('', open, { LD_LIBRARY_PATH: list });
      assert.deepEqual(found, { refused: ["LD_LIBRARY_PATH leads the system's loader into an open folder"] });
    }
  });

  it('does not even start where it is denied', async () => {
    const mark = program('bin', 'exit 1');
    const found = await find(folder.path('bin'), { denied: 'the workspace is not trusted' });
    assert.deepEqual(found, { refused: ['the workspace is not trusted'] });
    assert.ok(!existsSync(mark));
  });

  it('finds the library of a real NumPy, and it proves correct', async function () {
    const python = process.env.RANKSCOPE_PYTHON;
    if (python === undefined || process.platform === 'darwin') {
      this.test!.title += ' [skipped: RANKSCOPE_PYTHON names no Python]';
      this.skip();
    }
    const { blas, refused } = await find('', { interpreter: python });
    assert.ok(blas, refused.join('; '));
    assert.match(blas.name, /^(OpenBLAS|MKL)/);
    assert.match(blas.source, /^(NumPy|SciPy|the environment) of /);
  });
});

async function gone(pid: number): Promise<void> {
  for (let waited = 0; waited < 5000; waited += 50) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    if (existsSync(`/proc/${pid}/stat`) && / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`process ${pid} still runs`);
}
