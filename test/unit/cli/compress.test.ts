import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CompressionReport } from '../../../src/model/compression.ts';
import { testFolder } from '../formats/folder.ts';
import { smallRequest } from '../service/compress/smallModel.ts';
import { ended, run, start } from './run.ts';

describe('rankscope compress', function () {
  this.timeout(120_000);
  const folder = testFolder();
  let path: string;
  let ids: string;
  beforeEach(() => {
    const request = smallRequest(folder);
    path = request.path;
    ids = request.ids!;
  });
  const words = (steps: number, out = 'small.safetensors') => {
    const sizes = ['--keep', '0.7', '--context', '32', '--tokens', '1024', '--steps', String(steps)];
    const rest = ['--engine', 'wasm', '--threads', '1', '--no-smoke-test', '--out', folder.path(out)];
    return ['compress', path, '--ids', ids, ...sizes, ...rest];
  };
  const cli = (...more: string[]) => run(folder.path(), ...more);
  const partial = () => folder.path('small.safetensors.rankscope-partial');

  it('says what it takes before it begins, and reports before and after for people and as JSON', async () => {
    const { code, stdout, stderr } = await cli(...words(8));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /rankscope: About \d+ s and [\d.]+ \w+ of memory, with 8 steps of refinement for each block/);
    assert.match(stdout, /^block +cut +dense +W X predicted +W X truncated +error truncated +refined/);
    assert.match(stdout, /calibration +496 .*\nunseen +496 /);
    assert.match(stdout, /Ranks by loss \(measured for 14 matrices on 1,024 tokens\); truncated on .* 8 steps of Adam/);
    assert.match(stdout, /of the parameters that may be cut are kept .* of the whole model/);
    const json = await cli(...words(8), '--json', '--overwrite', '--code', folder.path('small.py'));
    const report = JSON.parse(json.stdout) as CompressionReport;
    assert.equal(report.format, 'rankscope.compression/1');
    assert.match(readFileSync(folder.path('small.py'), 'utf8'), /def load_lowrank/);
    const again = await cli(...words(8));
    assert.equal(again.code, 2);
    assert.match(again.stderr, /small\.safetensors: there is a file of this name/);
  });

  it('refuses wrong use with exit code 2, by the option', async () => {
    const [command, model, ...rest] = words(8);
    const without = (option: string) => {
      const at = rest.indexOf(option);
      return [command!, model!, ...rest.slice(0, at), ...rest.slice(at + 2)];
    };
    for (const [given, message] of [
      [without('--keep'), /--keep is missing/],
      [without('--out'), /--out/],
      [[...without('--keep'), '--keep', '1'], /between 0 and 1/],
      [[...words(8), '--text', 'a.txt'], /only one of --text and --ids/],
      [[...words(8), '--minutes', '0'], /--minutes/],
      [[...words(8), '--minutes', '-1'], /--minutes has no value; one that begins with a dash is written --minutes=-/],
      [[...words(8), '--minutes', '1', '--python'], /--minutes cannot be given with --python/],
      [[...without('--context'), '--context', '65'], /context of 64/],
    ] as const) {
      const { code, stderr } = await cli(...given);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
    }
    assert.ok(!existsSync(partial()), 'nothing is left of what did not begin');
  });

  it('goes on after kill -9 in the middle of a block, and gives the file of an uninterrupted run', async function () {
    if (process.platform === 'win32') this.skip();
    assert.equal((await cli(...words(24, 'whole.safetensors'))).code, 0);
    const child = start(folder.path(), words(24));
    const closed = once(child, 'close');
    const first = `${partial()}/block-1.safetensors`;
    while (!existsSync(first)) await sleep(5);
    child.kill('SIGKILL');
    assert.deepEqual((await closed)[1], 'SIGKILL');
    assert.ok(!existsSync(folder.path('small.safetensors')));
    const { code, stdout, stderr } = await cli(...words(24));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /Going on behind block 1, where an earlier run was stopped/);
    assert.match(stdout, /; 1 block came from an earlier run/);
    const files = ['small.safetensors', 'whole.safetensors'].map((name) => readFileSync(folder.path(name)));
    assert.ok(files[0]!.equals(files[1]!));
    assert.ok(!existsSync(partial()));
  });

  it('says that the disk is full, keeps what is finished and goes on when there is room', async function () {
    if (process.platform === 'win32') this.skip();
    const [command, ...rest] = words(8);
    // 512 bytes a unit in sh, 1024 in bash: room for the plan and a block, not for the result.
    const limited = spawn(
      'bash',
      ['-c', 'ulimit -f 30; exec "$0" "$@"', process.execPath, 'dist/cli.js', command!, ...rest],
      {
        env: { ...process.env, RANKSCOPE_BLAS: 'none', XDG_CACHE_HOME: folder.path() },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const { code, stderr } = await ended(limited);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /larger than is allowed here/);
    assert.ok(!existsSync(folder.path('small.safetensors')));
    assert.ok(
      readdirSync(partial()).every((file) => !file.endsWith('.partial')),
      'no half of a file is left',
    );
    const again = await cli(...words(8));
    assert.equal(again.code, 0, again.stderr);
    assert.ok(existsSync(folder.path('small.safetensors')) && !existsSync(partial()));
  });
});
