import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { calibrateCommand } from '../../../src/cli/calibrate.ts';
import { parseCommand } from '../../../src/cli/command.ts';
import { evaluateCommand } from '../../../src/cli/evaluate.ts';
import { run } from './run.ts';

const SAMPLE = resolve('test/fixtures/sample/model.safetensors');
const TEXT = resolve('test/fixtures/texts/stories.txt');

describe('rankscope evaluate, calibrate and compress with --python', function () {
  this.timeout(60_000);
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-cli-python-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('write the script that they name, and say how to run it', async () => {
    const code = join(folder, 'it is.py');
    const words = ['evaluate', SAMPLE, '--python', code, '--text', TEXT, '--rank', '8,16'];
    const { code: exit, stdout, stderr } = await run(folder, ...words);
    assert.equal(exit, 0, stderr);
    assert.ok(stdout.includes(`python ${JSON.stringify(code)}`), stdout);
    assert.ok(stdout.includes(join(folder, 'it is.evaluation.json')), stdout);
    assert.match(readFileSync(code, 'utf8'), /^RANKS = \[8, 16\]$/m);
    const again = await run(folder, ...words);
    assert.equal(again.code, 2);
    assert.match(again.stderr, /there is a file of this name/);
    assert.equal((await run(folder, ...words, '--force')).code, 0);
  });

  it('take the result of --out, and print JSON', async () => {
    const [code, out] = [join(folder, 'c.py'), join(folder, 'own.activations.safetensors')];
    const words = ['calibrate', SAMPLE, '--text', TEXT, '--python', code, '--out', out, '--json'];
    const { stdout, stderr } = await run(folder, ...words);
    assert.deepEqual(JSON.parse(stdout), { code, out }, stderr);
    assert.ok(readFileSync(code, 'utf8').includes(`OUT = ${JSON.stringify(out)}`));
  });

  it('need no --out for the script of a compression, and pass its options on', async () => {
    const code = join(folder, 'small.compress.py');
    const words = ['compress', SAMPLE, '--keep', '0.7', '--rate', '0.002', '--python', code];
    const { stdout, stderr } = await run(folder, ...words, '--no-refine', '--seed', '5', '--tokens', '2048');
    assert.ok(stdout.includes(join(folder, 'small.compressed.safetensors')), stderr);
    const script = readFileSync(code, 'utf8');
    for (const line of ['KEEP = 0.7', 'TEXT = None', 'STEPS = 0', 'SEED = 5', 'TOKENS = 2048', 'RATE = 0.002'])
      assert.ok(script.includes(`\n${line}\n`), line);
    assert.match((await run(folder, 'compress', SAMPLE, '--python', code)).stderr, /--keep is missing/);
    assert.equal((await run(folder, ...words)).code, 2);
    assert.equal((await run(folder, ...words, '--overwrite', '--text', TEXT, '--steps', '7')).code, 0);
    assert.match(readFileSync(code, 'utf8'), /^STEPS = 7$/m);
  });

  it('take no other word for the name of the script', () => {
    const wordsOf = (...words: string[]) => {
      const { values, paths } = parseCommand(evaluateCommand, words);
      return [values.python, ...paths];
    };
    assert.deepEqual(wordsOf('--python', 'out.py', 'llama'), ['out.py', 'llama']);
    assert.deepEqual(wordsOf('--python', 'llama'), ['', 'llama']);
    assert.deepEqual(wordsOf('llama', '--python'), ['', 'llama']);
    assert.deepEqual(wordsOf('llama', '--python=out.txt'), ['out.txt', 'llama']);
    assert.deepEqual(wordsOf('llama', '--python', '--json'), ['', 'llama']);
    assert.deepEqual(parseCommand(calibrateCommand, ['llama', '--python', 'x.PY']).values.python, 'x.PY');
  });
});
