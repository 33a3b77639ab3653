import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import type { Analysis, MatrixFinding } from '../../../src/model/findings.ts';
import type { Plan } from '../../../src/model/plan/plan.ts';
import { PLAN_DEFAULTS } from '../../../src/model/plan/planRequest.ts';
import type { ApplyReport } from '../../../src/protocol/service.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { testFolder } from '../formats/folder.ts';
import { python } from '../formats/python.ts';
import { safetensorsBytes } from '../formats/safetensorsBytes.ts';
import { noise, writeMatrices } from '../service/matrices.ts';
import { ended, run, start } from './run.ts';

const COMMANDS = ['analyze', 'plan', 'apply', 'evaluate', 'calibrate', 'generate', 'compare', 'info', 'bench'];
const ONE_LINE = /^rankscope: [^\n]+\n$/;

describe('the command line', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path('cache'), ...words);
  const small = () =>
    writeMatrices(folder.path('small.safetensors'), {
      'layers.0.a.weight': noise(48, 32, 1),
      'layers.0.b.weight': noise(32, 48, 2),
      'layers.1.a.weight': noise(40, 40, 3),
    });

  describe('used as its help says', () => {
    it('prints the version of package.json with --version', async () => {
      const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
      assert.deepEqual(await cli('--version'), { code: 0, stdout: `${version}\n`, stderr: '' });
    });

    it('lists every command with --help, and explains every option of each', async () => {
      const { code, stdout, stderr } = await cli('--help');
      assert.deepEqual([code, stderr], [0, '']);
      for (const name of COMMANDS) {
        assert.match(stdout, new RegExp(`^ {2}${name} `, 'm'));
        const help = await cli(name, '--help');
        assert.deepEqual([help.code, help.stderr], [0, '']);
        assert.match(help.stdout, new RegExp(`^rankscope ${name} (PATH|\\[)`));
        assert.ok(help.stdout.split('\n').every((line) => line.length <= 130));
      }
    });

    it('prints a table of at most 100 columns and no progress into a pipe with analyze', async () => {
      const { code, stdout, stderr } = await cli('analyze', small());
      assert.deepEqual([code, stderr], [0, '']);
      const rows = stdout.split('\n').filter((line) => /\d+x\d+/.test(line));
      assert.equal(rows.length, 3);
      assert.ok(rows.every((row) => row.length <= 100));
    });

    it('prints one object with analyze --json, and singular values only with --values', async () => {
      const file = small();
      const plain = JSON.parse((await cli('analyze', file, '--json')).stdout) as Analysis;
      assert.equal(plain.format, 'rankscope.analysis/1');
      assert.equal(plain.matrices.length, 3);
      assert.ok(plain.matrices.every((matrix) => !('singularValues' in matrix) && matrix.provenance === 'exact'));
      const full = JSON.parse((await cli('analyze', file, '--json', '--values')).stdout) as Analysis;
      assert.deepEqual(
        full.matrices.map(({ singularValues }) => singularValues?.length),
        [32, 32, 40],
      );
    });

    it('accepts several patterns with analyze --tensor, and writes the same object with --out', async () => {
      const out = folder.path('out.json');
      const words = ['--tensor', '*.a.*', '--tensor', 'layers.0.b.weight', '--json', '--out', out, '--no-cache'];
      const { code, stdout } = await cli('analyze', small(), ...words);
      assert.equal(code, 0);
      assert.equal((JSON.parse(stdout) as Analysis).matrices.length, 3);
      assert.equal(readFileSync(out, 'utf8'), stdout);
    });

    it('lists every tensor with info --json, even one named __proto__', async () => {
      const header = `{"__proto__":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"ids":{"dtype":"I64","shape":[1],"data_offsets":[16,24]}}`;
      const file = folder.write('odd.safetensors', safetensorsBytes(header, new Uint8Array(24)));
      const { code, stdout } = await cli('info', file, '--json');
      assert.equal(code, 0);
      assert.deepEqual(JSON.parse(stdout), {
        format: 'rankscope.info/1',
        checkpoint: { path: file, format: 'safetensors', parameters: 5, bytes: readFileSync(file).length },
        tensors: [
          { name: '__proto__', shape: [2, 2], dtype: 'F32', bytes: 16 },
          { name: 'ids', shape: [1], dtype: 'I64', bytes: 8 },
        ],
        ties: [],
        warnings: [],
        security: [],
      });
    });

    it('makes a smaller checkpoint with the predicted error by plan and apply', async () => {
      const file = small();
      const [plan, out, code] = [folder.path('plan.json'), folder.path('out.safetensors'), folder.path('out.py')];
      assert.equal((await cli('plan', file, '--keep', '0.6', '--multiple', '4', '--out', plan)).code, 0);
      const { matrices, totals, request } = JSON.parse(readFileSync(plan, 'utf8')) as Plan;
      assert.deepEqual(request, { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.6 }, multiple: 4 });
      assert.ok(totals.parametersAfter <= 0.6 * totals.parametersBefore);
      assert.ok(matrices.every(({ rank }) => rank === null || rank % 4 === 0));
      const applied = await cli('apply', file, '--plan', plan, '--out', out, '--code', code, '--json');
      assert.deepEqual([applied.code, applied.stderr], [0, '']);
      const report = JSON.parse(applied.stdout) as ApplyReport;
      assert.equal(report.parametersAfter, totals.parametersAfter);
      for (const { predictedError, measuredError } of report.matrices) {
        assert.ok(Math.abs(predictedError - measuredError) < 1e-4);
      }
      const { stdout } = await cli('info', out);
      assert.match(stdout, /lowrank_a\.weight/);
      assert.match(readFileSync(code, 'utf8'), /lowrank/);
    });

    it('prints JSON that matches the schemas', async () => {
      const file = small();
      const printed = {
        analysis: [
          ['analyze', file, '--json', '--values'],
          ['analyze', file, '--json', '--mode', 'preview'],
        ],
        info: [['info', file, '--json']],
        plan: [['plan', file, '--keep', '0.5', '--json']],
      };
      for (const [name, calls] of Object.entries(printed)) {
        const schema: object = JSON.parse(readFileSync(`media/schemas/${name}.schema.json`, 'utf8')) as object;
        const validate = new Ajv({ allErrors: true, strict: false }).compile(schema);
        for (const words of calls) {
          const { stdout, stderr } = await cli(...words);
          assert.ok(validate(JSON.parse(stdout)), `${words.join(' ')}: ${stderr}${JSON.stringify(validate.errors)}`);
        }
        assert.equal(validate({}), false);
      }
    });

    it('writes U, S and V with apply --factors 3', async () => {
      const file = small();
      const [plan, out] = [folder.path('plan.json'), folder.path('out.safetensors')];
      assert.equal((await cli('plan', file, '--rank', '5', '--out', plan)).code, 0);
      assert.equal((await cli('apply', file, '--plan', plan, '--factors', '3', '--out', out)).code, 0);
      const { tensors } = JSON.parse((await cli('info', out, '--json')).stdout) as {
        tensors: { name: string; shape: number[] }[];
      };
      const shapes = Object.fromEntries(tensors.map(({ name, shape }) => [name, shape]));
      assert.deepEqual(shapes['layers.0.a.svd_u'], [48, 5]);
      assert.deepEqual(shapes['layers.0.a.svd_s'], [5]);
      assert.deepEqual(shapes['layers.0.a.svd_v'], [5, 32]);
    });
  });

  describe('given wrong arguments', () => {
    const wrong: Record<string, (file: string) => string[]> = {
      'no command': () => [],
      'an unknown command': () => ['frobnicate'],
      'no path': () => ['analyze'],
      'two paths': (file) => ['analyze', file, file],
      'an unknown option': (file) => ['analyze', file, '--frobnicate'],
      'an option without its value': (file) => ['analyze', file, '--out'],
      'a value for a flag': (file) => ['analyze', file, '--json=yes'],
      'a number of threads that is not a number': (file) => ['analyze', file, '--threads', 'two'],
      'zero threads': (file) => ['analyze', file, '--threads', '0'],
      'an unknown mode': (file) => ['analyze', file, '--mode', 'sloppy'],
      'an unknown engine': (file) => ['analyze', file, '--engine', 'abacus'],
      'a pattern that matches nothing': (file) => ['analyze', file, '--tensor', 'nothing*'],
      'a path for bench': (file) => ['bench', file],
      'two budgets': (file) => ['plan', file, '--keep', '0.5', '--rank', '3'],
      'a budget out of its range': (file) => ['plan', file, '--keep', '1.5'],
      'an empty budget': (file) => ['plan', file, '--energy', '0'],
      'half a rank': (file) => ['plan', file, '--rank', '2.5'],
      'four factors': (file) => ['apply', file, '--plan', 'p', '--out', 'o', '--factors', '4'],
      'no plan': (file) => ['apply', file, '--out', 'o'],
      'no target': (file) => ['apply', file, '--plan', 'p'],
    };
    for (const [what, words] of Object.entries(wrong)) {
      it(`exits with 2 and one line for ${what}`, async () => {
        const { code, stdout, stderr } = await cli(...words(small()));
        assert.deepEqual([code, stdout], [2, '']);
        assert.match(stderr, ONE_LINE);
      });
    }
  });

  describe('failing, with exit code 1 and one line that names the file', () => {
    it('fails for a path that does not exist', async () => {
      const { code, stdout, stderr } = await cli('analyze', folder.path('none.safetensors'));
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(stderr, ONE_LINE);
      assert.match(stderr, /none\.safetensors/);
    });

    it('fails for a file that is not a checkpoint, and for a truncated one', async () => {
      const text = folder.write('notes.txt', 'these are notes\nand more');
      const cut = folder.write('cut.safetensors', readFileSync(small()).subarray(0, 3000));
      for (const file of [text, cut]) {
        const { code, stdout, stderr } = await cli('info', file, '--json');
        assert.deepEqual([code, stdout], [1, '']);
        assert.match(stderr, ONE_LINE);
      }
    });

    it('fails for an invalid or missing plan', async () => {
      const file = small();
      const broken = folder.write('plan.json', '{"format": "something"\n');
      for (const plan of [broken, folder.path('none.json')]) {
        const { code, stderr } = await cli('apply', file, '--plan', plan, '--out', folder.path('o.safetensors'));
        assert.equal(code, 1);
        assert.match(stderr, ONE_LINE);
        assert.match(stderr, /\.json/);
      }
    });

    it('fails before computing anything if the output folder is missing', async () => {
      for (const words of [['analyze'], ['plan', '--keep', '0.5']]) {
        const { code, stdout, stderr } = await cli(...words, small(), '--out', folder.path('no/such/out.json'));
        assert.deepEqual([code, stdout], [1, '']);
        assert.match(stderr, ONE_LINE);
        assert.match(stderr, /out\.json: there is no folder .*no.such\. /);
        assert.doesNotMatch(stderr, /tmp'|ENOENT/);
      }
    });
  });

  it('never replaces its input, under any name and with any force', async () => {
    const file = small();
    const whole = readFileSync(file);
    const link = folder.path('link.json');
    rmSync(link, { force: true });
    symlinkSync(file, link);
    for (const out of [file, link]) {
      for (const words of [['analyze'], ['plan', '--keep', '0.5']]) {
        const { code, stderr } = await cli(...words, file, '--out', out, '--force');
        assert.equal(code, 2);
        assert.match(stderr, ONE_LINE);
        assert.match(stderr, /this is the input file/);
      }
    }
    assert.deepEqual(readFileSync(file), whole);
  });

  it('never replaces the plan that it applies', async () => {
    const file = small();
    const plan = folder.path('own.json');
    assert.equal((await cli('plan', file, '--keep', '0.5', '--out', plan)).code, 0);
    const whole = readFileSync(plan);
    const result = folder.path('own.safetensors');
    for (const words of [
      ['--out', plan],
      ['--out', result, '--code', plan],
    ]) {
      const { code, stderr } = await cli('apply', file, '--plan', plan, ...words, '--force');
      assert.equal(code, 2);
      assert.match(stderr, ONE_LINE);
      assert.match(stderr, /own\.json: this is the input file/);
    }
    assert.deepEqual(readFileSync(plan), whole);
  });

  it('refuses a folder as output, and empty names and patterns', async () => {
    const file = small();
    const out = folder.path('a-folder');
    mkdirSync(out, { recursive: true });
    const wrong = [
      { words: ['analyze', file, '--out', out, '--force'], found: /a folder has this name/ },
      { words: ['analyze', file, '--tensor', ''], found: /--tensor is empty/ },
      { words: ['plan', file, '--keep', '0.5', '--exclude', ''], found: /--exclude is empty/ },
      { words: ['analyze', ''], found: /the path of a checkpoint is missing/ },
    ];
    for (const { words, found } of wrong) {
      const { code, stderr } = await cli(...words);
      assert.equal(code, 2, stderr);
      assert.match(stderr, ONE_LINE);
      assert.match(stderr, found);
    }
  });

  it('does not wait for a plan from a pipe without a writer', async function () {
    if (process.platform === 'win32') this.skip();
    const pipe = folder.path('plan.fifo');
    execFileSync('mkfifo', [pipe]);
    const { code, stderr } = await cli('apply', small(), '--plan', pipe, '--out', folder.path('piped.safetensors'));
    assert.equal(code, 1);
    assert.match(stderr, ONE_LINE);
    assert.match(stderr, /it is not a file/);
  });

  it('never replaces a file unless --force is given', async () => {
    const file = small();
    const mine = folder.write('mine.json', 'mine');
    for (const words of [
      ['analyze', file, '--out', mine],
      ['plan', file, '--keep', '0.5', '--out', mine],
    ]) {
      const { code, stderr } = await cli(...words);
      assert.equal(code, 2);
      assert.match(stderr, /--force/);
      assert.equal(readFileSync(mine, 'utf8'), 'mine');
    }
    assert.equal((await cli('plan', file, '--keep', '0.5', '--out', mine, '--force')).code, 0);
    assert.equal((await cli('apply', file, '--plan', mine, '--out', file, '--force')).code, 2);
    const shard = folder.write('shard.safetensors', readFileSync(file));
    const replaced = await cli('analyze', file, '--json', '--out', shard, '--force');
    assert.equal(replaced.code, 2);
    assert.match(replaced.stderr, /replaces only text files/);
    assert.deepEqual(readFileSync(shard), readFileSync(file));
    assert.equal((await cli('info', file)).code, 0);
  });

  it('writes all of a long output into a pipe that is read slowly', async () => {
    const count = 20_000;
    const header = Object.fromEntries(
      Array.from({ length: count }, (_, i) => [
        `layers.${i}.w.weight`,
        { dtype: 'F32', shape: [1, 1], data_offsets: [4 * i, 4 * i + 4] },
      ]),
    );
    const file = folder.write('many.safetensors', safetensorsBytes(header, new Uint8Array(4 * count)));
    const child = start(folder.path('cache'), ['info', file, '--json']);
    const outcome = ended(child);
    child.stdout?.pause();
    setTimeout(() => child.stdout?.resume(), 500);
    const { code, stdout } = await outcome;
    assert.equal(code, 0);
    assert.equal((JSON.parse(stdout) as { tensors: unknown[] }).tensors.length, count);
  });

  it('ends quietly when its reader disappears', async () => {
    const child = start(folder.path('cache'), ['info', small(), '--json']);
    child.stdout?.destroy();
    const { code, stderr } = await ended(child);
    assert.deepEqual([code, stderr], [0, '']);
  });

  it('exits with code 130, one line and no temporary file when interrupted', async function () {
    if (process.platform === 'win32') this.skip();
    const matrices = Object.fromEntries(
      Array.from({ length: 6 }, (_, i) => [`layers.${i}.w.weight`, noise(900, 900, i)]),
    );
    const file = writeMatrices(folder.path('large.safetensors'), matrices);
    mkdirSync(folder.path('out'));
    const child = start(folder.path('cache'), ['analyze', file, '--out', folder.path('out/a.json'), '--verbose']);
    // The line that names the engine: from here on it computes.
    await once(child.stderr ?? assert.fail(), 'data');
    const outcome = ended(child);
    child.kill('SIGINT');
    const { code, stdout, stderr } = await outcome;
    assert.deepEqual([code, stdout], [130, '']);
    assert.match(stderr, /interrupted/);
    assert.deepEqual(readdirSync(folder.path('out')), []);
  });

  it('shares a cache between two processes', async () => {
    const file = writeMatrices(
      folder.path('shared.safetensors'),
      Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`layers.${i}.w.weight`, noise(40, 30, i)])),
    );
    const outcomes = await Promise.all([1, 2].map(() => cli('analyze', file, '--json', '--values')));
    const values = outcomes.map(({ stdout, stderr, code }) => {
      assert.deepEqual([code, stderr], [0, '']);
      return (JSON.parse(stdout) as Analysis).matrices.map(({ singularValues }) => singularValues);
    });
    assert.deepEqual(values[0], values[1]);
  });

  it('warns once if the cache cannot be written, and continues', async () => {
    writeFileSync(folder.path('cache'), 'in the way');
    const { code, stdout, stderr } = await cli('analyze', small());
    assert.equal(code, 0);
    assert.match(stdout, /48x32/);
    assert.match(stderr, ONE_LINE);
  });

  it('agrees with numpy in float64 in every measure of a real checkpoint', async function () {
    const file = checkpointPath(this, 'stories260K-hf/model.safetensors');
    const truth = python(this, ['numpy', 'safetensors'], readFileSync('test/python/measures.py', 'utf8'), file);
    const { stdout } = await cli('analyze', file, '--json', '--values', '--no-cache');
    const { matrices } = JSON.parse(stdout) as Analysis;
    const expected = truth as Record<string, Partial<MatrixFinding>>;
    assert.deepEqual(matrices.map(({ name }) => name).sort(), Object.keys(expected).sort());
    for (const matrix of matrices) {
      for (const [measure, value] of Object.entries(expected[matrix.name] ?? {})) {
        const found = matrix[measure as keyof MatrixFinding];
        assertClose(found, value, toleranceOf(measure, matrix), `${matrix.name}: ${measure}`);
      }
    }
  });
});

/**
 * f32 arithmetic gives each value to c eps sqrt(max(m, n)) sigma_1; a fit of logarithms of small values magnifies it.
 */
function toleranceOf(measure: string, { shape, spectralNorm }: MatrixFinding): number {
  const relative = 2 ** -23 * Math.sqrt(Math.max(...shape));
  if (measure === 'singularValues') return relative * spectralNorm;
  if (measure.startsWith('alpha')) return 1e-4;
  return relative * 64;
}

function assertClose(found: unknown, expected: unknown, tolerance: number, what: string): void {
  if (Array.isArray(expected) && Array.isArray(found)) {
    assert.equal(found.length, expected.length, what);
    for (const [i, value] of expected.entries()) assertClose(found[i], value, tolerance, `${what} ${i}`);
  } else if (typeof expected === 'number' && typeof found === 'number' && !Number.isInteger(expected)) {
    assert.ok(
      Math.abs(found - expected) <= tolerance * Math.max(1, Math.abs(expected)),
      `${what}: ${found}, ${expected}`,
    );
  } else {
    // Ranks are whole numbers, and exactly so.
    assert.deepEqual(found, expected, what);
  }
}
