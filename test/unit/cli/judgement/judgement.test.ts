import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import type { Evaluation } from '../../../../src/model/evaluation.ts';
import type { Plan } from '../../../../src/model/plan/plan.ts';
import type { ApplyReport } from '../../../../src/protocol/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { type Case, writeDecoder } from '../../network/decoders.ts';
import { run } from '../run.ts';

const [LLAMA] = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as [Case];
const SCHEMA = JSON.parse(readFileSync('media/schemas/report.schema.json', 'utf8')) as object;

interface Report<Result> {
  readonly passed: boolean;
  readonly conditions: readonly { readonly condition: string; readonly holds: boolean }[];
  readonly result: Result;
}

describe('--fail-if and --report', function () {
  this.timeout(120_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path('cache'), ...words);
  const model = () => writeDecoder(folder.path('model'), LLAMA);
  const ids = () => folder.write('ids.txt', [...LLAMA.ids, ...LLAMA.ids, 3].join(' '));
  const read = <Result>(name: string) => {
    const report = JSON.parse(readFileSync(folder.path(name), 'utf8')) as Report<Result>;
    const valid = new Ajv({ strict: true, allowUnionTypes: true }).compile(SCHEMA);
    assert.ok(valid(report), JSON.stringify(valid.errors));
    return report;
  };

  it('exit with 3 after the result was printed and written, and with 0 where no condition holds', async () => {
    const words = ['evaluate', model(), '--ids', ids(), '--context', '10', '--rank', '4,12', '--json'];
    const plain = await cli(...words);
    const { dense, variants } = JSON.parse(plain.stdout) as Evaluation;
    const ratios = variants.map(({ perplexity }) => perplexity / dense.perplexity);
    const [low, high] = [Math.min(...ratios) * 0.999, Math.max(...ratios) * 1.001];
    const passed = await cli(...words, '--fail-if', `perplexity>${high}x`, '--report', folder.path('passed.json'));
    assert.deepEqual([passed.code, passed.stderr], [0, '']);
    assert.equal(read('passed.json').passed, true);

    const reports = ['failed.json', 'failed.md'].flatMap((name) => ['--report', folder.path(name)]);
    const failed = await cli(...words, '--fail-if', `perplexity>${low}x`, '--fail-if', 'same-top<0', ...reports);
    assert.equal(failed.code, 3);
    assert.match(
      failed.stderr,
      /^rankscope: perplexity>[\d.]+x: rank 4 has [\d.]+ \(limit [\d.]+\), rank 12 has .*\n$/,
    );
    assert.deepEqual(
      { ...(JSON.parse(failed.stdout) as Evaluation), seconds: 0 },
      { ...(JSON.parse(plain.stdout) as Evaluation), seconds: 0 },
    );
    const { conditions, result } = read<Evaluation>('failed.json');
    assert.deepEqual(
      conditions.map(({ holds }) => holds),
      [true, false],
    );
    assert.deepEqual(result.variants, variants);
    const markdown = readFileSync(folder.path('failed.md'), 'utf8');
    assert.match(markdown, /\*\*Failed\*\*: 1 of 2 conditions/);
    assert.match(markdown, /\| rank 12 \|/);
  });

  it('count the measured error of a written file over all that its plan may cut', async () => {
    const [path, plan, out, report] = [model(), 'plan.json', 'out.safetensors', 'apply.json'].map((name, k) =>
      k === 0 ? name : folder.path(name),
    ) as [string, string, string, string];
    assert.equal((await cli('plan', path, '--keep', '0.7', '--out', plan)).code, 0);
    const words = ['apply', path, '--plan', plan, '--out', out, '--no-smoke-test'];
    const { code, stderr } = await cli(
      ...words,
      '--report',
      report,
      '--fail-if',
      'bytes>0.01x',
      '--fail-if',
      'error>200%',
    );
    assert.equal(code, 3, stderr);
    assert.match(stderr, /^rankscope: bytes>0\.01x: .*out\.safetensors has \d+ \(limit [\d.]+\)\n$/);
    assert.ok(existsSync(out));
    const { result } = read<ApplyReport>('apply.json');
    const { matrices, totals } = JSON.parse(readFileSync(plan, 'utf8')) as Plan;
    const sizes = new Map(matrices.map(({ name, shape }) => [name, shape[0] * shape[1]]));
    const lost = result.matrices.reduce(
      (sum, { name, measuredError }) => sum + sizes.get(name)! * measuredError ** 2,
      0,
    );
    assert.ok(Math.abs(result.measuredError - Math.sqrt(lost / totals.parametersBefore)) < 1e-12);
    assert.ok(Math.abs(result.measuredError - totals.error) < 1e-4);
    const [worst] = result.matrices.toSorted((a, b) => b.measuredError - a.measuredError);
    const above = await cli(...words, '--force', '--fail-if', `matrix-error>=${worst!.measuredError}`);
    assert.equal(above.code, 3);
    assert.ok(above.stderr.includes(worst!.name), above.stderr);
  });

  it('are known to plan and analyze, whose ranks are also compared with the smaller side', async () => {
    const path = model();
    const planned = await cli('plan', path, '--keep', '0.5', '--fail-if', 'kept>0.5', '--fail-if', 'error<1e-9');
    assert.equal(planned.code, 0);
    const tooMany = await cli('analyze', path, '--fail-if', 'rank-99>=0.01x', '--report', folder.path('ranks.md'));
    assert.equal(tooMany.code, 3);
    assert.match(tooMany.stderr, /rank-99>=0\.01x: .*, and \d+ more/);
    assert.match(readFileSync(folder.path('ranks.md'), 'utf8'), /\| matrix \| shape \| eff\.rank \|/);
    assert.equal((await cli('analyze', path, '--fail-if', 'effective-rank<1')).code, 0);
  });

  it('are checked before any work is done', async () => {
    const path = model();
    const words = ['evaluate', path, '--ids', ids(), '--rank', '4'];
    for (const [wrong, reason] of [
      [['--fail-if', 'speed>1'], /no metric 'speed' here: use one of perplexity, loss/],
      [['--fail-if', 'kl>2x'], /compared with a number/],
      [['--report', folder.path('a.txt')], /takes a file named \.md or \.json/],
      [['--report', folder.path('a.json'), '--out', folder.path('a.json')], /something else is written/],
      [['--report', folder.write('old.md', 'x')], /already exists/],
      [
        ['--report', folder.write('given.json', '[1, 2]'), '--force', '--file', folder.path('given.json')],
        /this is the input file/,
      ],
    ] as const) {
      const { code, stdout, stderr } = await cli(...words, ...wrong);
      assert.deepEqual([code, stdout], [2, ''], stderr);
      assert.match(stderr, reason);
    }
  });
});
