import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import type { Evaluation } from '../../../src/model/evaluation.ts';
import { testFolder } from '../formats/folder.ts';
import { type Case, writeDecoder } from '../network/decoders.ts';
import { run } from './run.ts';

const [LLAMA] = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as [Case];
const SCHEMA = JSON.parse(readFileSync('media/schemas/evaluation.schema.json', 'utf8')) as object;

describe('rankscope evaluate', function () {
  this.timeout(120_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path('cache'), ...words);
  const model = () => writeDecoder(folder.path('model'), LLAMA);
  const ids = () => folder.write('ids.txt', [...LLAMA.ids, ...LLAMA.ids, 3].join(' '));

  it('prints a table of the ranks, plans and files that were asked for, and the same as JSON', async () => {
    const path = model();
    const [plan, smaller, out] = ['plan.json', 'smaller.safetensors', 'out.json'].map((name) => folder.path(name));
    assert.equal((await cli('plan', path, '--keep', '0.8', '--out', plan!)).code, 0);
    assert.equal((await cli('apply', path, '--plan', plan!, '--out', smaller!)).code, 0);
    const words = ['evaluate', path, '--ids', ids(), '--context', '10', '--rank', '4,8', '--rank', '12'];
    const { code, stdout, stderr } = await cli(...words, '--plan', plan!, '--file', smaller!, '--out', out!);
    assert.deepEqual([code, stderr], [0, '']);
    const lines = stdout.split('\n');
    const rows = ['dense', 'rank 4', 'rank 8', 'rank 12', 'plan.json', 'smal'];
    for (const [k, name] of rows.entries()) assert.ok(lines[k + 1]!.startsWith(name), lines[k + 1]);
    assert.match(lines[1]!, /^dense +[\d.]+$/);
    assert.match(
      lines[2]!,
      /^rank 4 +[\d.]+ % +[\d.]+ % +[\d.]+ % +[\d.]+ +[+-][\d.]+ ± [\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ %$/,
    );
    assert.match(stdout, /ids\.txt: 40 tokens, 36 of them scored in 4 windows of 10; 4 are dropped\./);

    const printed = JSON.parse(
      (await cli(...words, '--plan', plan!, '--file', smaller!, '--json')).stdout,
    ) as Evaluation;
    const written = JSON.parse(readFileSync(out!, 'utf8')) as Evaluation;
    assert.deepEqual({ ...printed, seconds: 0 }, { ...written, seconds: 0 });
    const valid = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true }).compile(SCHEMA);
    assert.ok(valid(printed), JSON.stringify(valid.errors));
    const [first] = printed.variants;
    assert.ok(!valid({ ...printed, variants: [{ ...first, perplexity: undefined }] }));
    assert.ok(!valid({ ...printed, more: 1 }));
    assert.deepEqual(
      printed.variants.map(({ kind, rank }) => [kind, rank]),
      [
        ['rank', 4],
        ['rank', 8],
        ['rank', 12],
        ['plan', null],
        ['file', null],
      ],
    );
  });

  it('exits with 2 for words that do not fit together, and with 1 for what cannot be evaluated', async () => {
    const path = model();
    const wrong: string[][] = [
      [],
      ['--text', 'a.txt', '--ids', 'a.json'],
      ['--ids', ids(), '--rank', '4,x'],
      ['--ids', ids(), '--rank', '0'],
      ['--ids', ids(), '--context', '1'],
      ['--ids', ids(), '--context', '100'],
      ['--ids', ids(), '--out', folder.path('ids.txt'), '--force'],
    ];
    for (const words of wrong) {
      const { code, stderr, stdout } = await cli('evaluate', path, ...words);
      assert.deepEqual([code, stdout, stderr.trim().split('\n').length], [2, '', 1], `${words.join(' ')}: ${stderr}`);
    }
    for (const words of [
      ['--ids', folder.path('none')],
      ['--ids', ids(), '--plan', folder.path('none')],
    ]) {
      const { code, stderr } = await cli('evaluate', path, ...words);
      assert.equal(code, 1, stderr);
      assert.match(stderr, /^rankscope: .*no such file.*\n$/);
    }
  });
});
