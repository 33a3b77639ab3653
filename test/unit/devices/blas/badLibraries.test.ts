import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { chooseDevice } from '../../../../src/devices/choose.ts';
import { findBlas, LIMITS } from '../../../../src/devices/cpu/blas/find.ts';
import type { BlasPolicy } from '../../../../src/devices/cpu/blas/policy.ts';
import { withEnvironment } from '../../../../src/devices/cpu/blas/threads.ts';
import { testFolder } from '../../formats/folder.ts';
import { compileBlas, needCompiler } from './compiledBlas.ts';

/** The plain library is slower than the kernels; whether it is correct is what is asked here. */
const ANY_SPEED = { ...LIMITS, mustWinBy: 0, namedMustWinBy: 0 };
const named = (path: string, more: Partial<BlasPolicy> = {}): BlasPolicy => ({
  named: { path, by: 'the test' },
  openFolders: [],
  ...more,
});
/** No interpreter and no variable may help out. */
const alone = <Result>(work: () => Promise<Result>) => withEnvironment({ PATH: '', RANKSCOPE_BLAS: undefined }, work);

describe('a library that was named', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const build = (name: string, macros?: Record<string, string>) => compileBlas(folder.path(''), name, macros);
  const find = (path: string, threads = 1, limits = ANY_SPEED, more: Partial<BlasPolicy> = {}) =>
    alone(() => findBlas(named(path, more), threads, limits));
  const reasonFor = async (path: string, threads = 1, limits = ANY_SPEED) => {
    const { refused } = await find(path, threads, limits);
    const reason = refused.find((each) => each.startsWith(`${path} `));
    assert.ok(reason, `nothing was said of ${path}: ${refused.join('; ')}`);
    return reason.slice(path.length + 1);
  };

  describe('and is compiled', () => {
    before(function () {
      needCompiler(this);
    });

    for (const [width, macros, symbol] of [
      ['32-bit integers', {}, 'sgemm_'],
      ['64-bit integers and no suffix', { INT: 'int64_t' }, 'sgemm_'],
      ['64-bit integers and a suffix', { INT: 'int64_t', NAME: 'sgemm_64_' }, 'sgemm_64_'],
      ['the prefix of SciPy', { INT: 'int64_t', NAME: 'scipy_sgemm_64_' }, 'scipy_sgemm_64_'],
    ] as const)
      it(`is used with ${width}`, async () => {
        const path = build(`lib${symbol}${width.length}.so`, macros);
        const { blas } = await find(path);
        assert.deepEqual([blas?.path, blas?.symbol, blas?.threading], [path, symbol, 'workers']);
        assert.equal(blas?.name, path.split('/').at(-1));
      });

    it('is used with the libraries that it needs and that lie beside it, as in the wheels of older NumPys', async () => {
      const needed = build('libgfortran-ed201abd.so.3.0.0', { NAME: 'needed' });
      const macros = { AT_LOAD: 'extern void needed();void*volatile at=(void*)needed;if(!at)abort()' };
      const path = compileBlas(folder.path(''), 'libopenblasp-r0.so', macros, [
        `-L${folder.path('')}`,
        '-l:libgfortran-ed201abd.so.3.0.0',
      ]);
      assert.equal((await find(path)).blas?.path, path);
      rmSync(needed);
      assert.match(await reasonFor(path), /could not be loaded: .*libgfortran-ed201abd\.so\.3\.0\.0/);
    });

    it('is refused if it is not as much faster than the kernels as it must be, with how much', async () => {
      // A limit that no library meets, because how fast this one is depends on what else the machine does.
      const limits = { ...LIMITS, mustWinBy: 1e6, namedMustWinBy: 1e6 };
      assert.match(await reasonFor(build('libslow.so'), 1, limits), /is only \d+\.\d times as fast as the WASM/);
    });

    for (const [fault, macros, expected] of [
      ['has no sgemm', { NAME: 'dgemm_' }, /has no sgemm under any known name/],
      ['is wrong at 16 columns only', { WRONG: 'm==16' }, /computes wrong products \(\d+ x \d+.* by \d+ x 16/],
      ['is wrong at 16 rows only', { WRONG: 'n==16' }, /computes wrong products \(16 x/],
      ['is wrong only where one operand is transposed', { WRONG: "*ta=='T'&&n==33" }, /wrong products/],
      ['is wrong only in large products', { WRONG: 'n>300&&m>400' }, /wrong products \(400 x 600/],
      ['crashes when it is loaded', { AT_LOAD: 'raise(SIGSEGV)' }, /crashes when it is loaded \(SIGSEGV\)/],
      ['aborts when it is loaded', { AT_LOAD: 'abort()' }, /crashes when it is loaded \(SIGABRT\)/],
      ['ends the process when it is loaded', { AT_LOAD: '_exit(0)' }, /ends its process when it is loaded/],
      ['crashes in a product', { AT_CALL: 'if(m==33)raise(SIGSEGV)' }, /crashes in a product \(SIGSEGV\)/],
      ['crashes when its process ends', { AT_END: 'raise(SIGSEGV)' }, /crashes at the end of its process/],
      ['writes to standard output', { AT_LOAD: 'puts("hello")' }, /writes to standard output/],
      ['reads C though beta is zero', { AT_CALL: 'float held=c[0]', WRONG: '(c[0]+=*beta*held,0)' }, /computes wrong/],
      ['writes beside the matrix', { AT_CALL: 'if(ldc>m)c[m]=0' }, /wrong products \(.*beside which it wrote/],
    ] as const)
      it(`is refused if it ${fault}`, async () => {
        assert.match(await reasonFor(build('libfault.so', macros)), expected);
      });

    it('is refused if it makes its threads lose the smallest numbers', async function () {
      if (process.arch !== 'x64') this.skip();
      const path = build('libflush.so', { AT_LOAD: '__builtin_ia32_ldmxcsr(0x9fc0)' });
      assert.match(await reasonFor(path), /makes this process lose the smallest numbers/);
    });

    it('is refused if it hangs, when it is loaded and in a product', async () => {
      const short = { ...ANY_SPEED, probe: 2500 };
      assert.match(await reasonFor(build('libhang.so', { AT_LOAD: 'for(;;)pause()' }), 1, short), /hangs when it is/);
    });

    it('is not waited for if it leaves a process behind', async () => {
      const left = folder.path('left');
      const note = `int f=open("${left}",O_CREAT|O_WRONLY,0600);dprintf(f,"%d",getpid());close(f)`;
      const path = build('libfork.so', { AT_LOAD: `if(!fork()){${note};for(;;)pause();}` });
      assert.ok(await find(path));
      process.kill(Number(readFileSync(left, 'utf8')), 'SIGKILL');
    });

    it('is refused if threads disturb each other in it', async () => {
      const path = build('libracy.so', { AT_CALL: 'usleep(50)', WRONG: 'crowd>1' });
      assert.match(await reasonFor(path, 2), /fails on 2 threads/);
    });

    it('is refused if it is built for another processor', async () => {
      const path = build('libother.so');
      const bytes = readFileSync(path);
      bytes.writeUInt16LE(process.arch === 'arm64' ? 62 : 183, 18);
      writeFileSync(path, bytes);
      assert.match(await reasonFor(path), /is built for (arm64|x64), but this process runs on/);
    });

    it('is refused if it is cut off', async () => {
      const path = build('libcut.so');
      truncateSync(path, 4096);
      // What the system's loader finds too short is an error or the end of the process, as it happens.
      assert.match(await reasonFor(path), /could not be loaded: |crashes when it is loaded/);
    });

    it('is refused if it lies in an open folder, also behind a link into it or out of it', async () => {
      mkdirSync(folder.path('project'), { recursive: true });
      mkdirSync(folder.path('outside'), { recursive: true });
      const mark = folder.path('loaded');
      const good = build('libgood.so', { MARK: `"${mark}"` });
      const inside = folder.path('project/libinside.so');
      copyFileSync(good, inside);
      const intoIt = folder.path('outside/libinto.so');
      symlinkSync(inside, intoIt);
      const outOfIt = folder.path('project/libout.so');
      symlinkSync(good, outOfIt);
      const throughIt = folder.path('outside/libthrough.so');
      symlinkSync(outOfIt, throughIt);
      symlinkSync(folder.path('project'), folder.path('outside/linked'));
      const open = { openFolders: [folder.path('project')] };
      for (const path of [inside, intoIt, outOfIt, throughIt, folder.path('outside/linked/libinside.so')]) {
        const { blas, refused } = await find(path, 1, ANY_SPEED, open);
        assert.equal(blas, undefined);
        assert.ok(refused.includes(`${path} lies in an open folder`), refused.join('; '));
      }
      assert.ok(!existsSync(mark));
      assert.equal((await find(good, 1, ANY_SPEED, open)).blas?.path, good);
      assert.ok(existsSync(mark));
    });

    it('leaves the kernels in use if it vanishes between its trial and its use', async () => {
      const path = build('libvanishing.so', { AT_LOAD: 'vanish()' });
      const backend = await alone(() =>
        chooseDevice({ engine: 'cpu', threads: 1, blas: named(path) }, (policy, threads) =>
          findBlas(policy, threads, ANY_SPEED),
        ),
      );
      assert.ok(!existsSync(path));
      assert.match(
        backend.info.reason,
        /^cpu, as requested, on 1 thread with WASM kernels \(.*libvanishing\.so proved/,
      );
      const matrix = await backend.allocate(40, 40);
      await backend.upload(matrix, 0, 40, (out) => void out.fill(1));
      assert.ok(Math.abs((await backend.singularValues(matrix))[0]! - 40) < 1e-4);
      await backend.close();
    });

    it('computes for the engine once it is proven, and the engine says which and why', async () => {
      const path = build('libchosen.so');
      const backend = await alone(() =>
        chooseDevice({ engine: 'cpu', threads: 1, blas: named(path) }, (policy, threads) =>
          findBlas(policy, threads, ANY_SPEED),
        ),
      );
      assert.match(
        backend.info.reason,
        /^cpu, as requested, on 1 thread with libchosen\.so from the test, [\d.]+ times as fast as the WASM kernels/,
      );
      assert.match(backend.info.device, /libchosen\.so/);
      await backend.close();
      const kernels = await chooseDevice({ engine: 'wasm', threads: 1, blas: named(path) });
      assert.equal(kernels.info.reason, 'wasm, as requested, on 1 thread.');
      assert.doesNotMatch(kernels.info.device, /libchosen/);
      await kernels.close();
    });

    it('is tried once: the outcome is remembered until the file changes', async () => {
      const mark = folder.path('tried');
      const path = build('libremembered.so', { MARK: `"${mark}"` });
      const cache = { cacheFolder: folder.path('cache') };
      assert.ok((await find(path, 1, ANY_SPEED, cache)).blas);
      assert.ok(existsSync(mark));
      const again = build('libremembered.so', { MARK: `"${mark}.again"`, NAME: 'dgemm_' });
      const changed = await find(again, 1, ANY_SPEED, cache);
      assert.equal(changed.blas, undefined);
      assert.match(changed.refused.join(), /has no sgemm/);
      build('libremembered.so', { MARK: `"${mark}.third"` });
      assert.ok((await find(path, 1, ANY_SPEED, cache)).blas);
      const known = await find(path, 1, ANY_SPEED, cache);
      assert.ok(known.blas);
    });
  });

  it('is refused if it does not exist, is a folder, a text, or not named by an absolute path', async () => {
    assert.equal(await reasonFor(folder.path('missing.so')), 'does not exist');
    mkdirSync(folder.path('folder.so'));
    assert.equal(await reasonFor(folder.path('folder.so')), 'is not a file');
    writeFileSync(folder.path('text.so'), 'INPUT(libm.so.6)\n'.repeat(10));
    assert.equal(await reasonFor(folder.path('text.so')), 'is not a shared library');
    assert.equal(await reasonFor(join('lib', 'relative.so')), 'is not an absolute path');
  });

  it('may be none', async () => {
    assert.deepEqual(await find('none'), { refused: ['the test is "none"'] });
  });
});
