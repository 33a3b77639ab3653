import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Generation } from '../../../src/model/generation.ts';
import type { ApplyReport } from '../../../src/protocol/service.ts';
import { testFolder } from '../formats/folder.ts';
import { writeModel } from '../service/generate/models.ts';
import { run } from './run.ts';

describe('rankscope generate', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path(), ...words);

  it('prints the texts beside each other, with figures and what they mean, and the same as JSON', async () => {
    const path = writeModel(folder.path('model'));
    const plan = folder.path('plan.json');
    assert.equal((await cli('plan', path, '--keep', '0.5', '--out', plan)).code, 0);
    const words = ['generate', path, '--prompt', 'once upon', '--tokens', '24', '--plan', plan];
    const { code, stdout, stderr } = await cli(...words);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(
      stdout,
      /^Prompt: "once upon", 9 tokens \(tokenizer\.json, BPE\)\n\ndense +plan\.json\n----- +---------\n/,
    );
    assert.match(stdout, /^dense +24 +[\d.]+ +\d+ +[\d.]+ % +[\d.]+ % +[\d.]+ %$/m);
    assert.match(stdout, /The texts part (at the first token|after \d+ tokens?): [\d.]+ % of the positions/);
    assert.ok(stdout.split('\n').every((line) => line.length <= 130 || line.startsWith('The ')));
    const printed = JSON.parse((await cli(...words, '--json')).stdout) as Generation;
    assert.equal(printed.format, 'rankscope.generation/1');
    assert.equal(printed.variant!.name, 'plan.json');
    const out = folder.path('generation.json');
    assert.equal((await cli(...words, '--out', out)).code, 0);
    const written = JSON.parse(readFileSync(out, 'utf8')) as Generation;
    assert.deepEqual([written.dense.ids, written.variant!.ids], [printed.dense.ids, printed.variant!.ids]);
  });

  it('follows apply by itself, unless it is left out', async () => {
    const path = writeModel(folder.path('model'));
    const [plan, out] = [folder.path('plan.json'), folder.path('smaller.safetensors')];
    await cli('plan', path, '--keep', '0.5', '--out', plan);
    const tried = await cli('apply', path, '--plan', plan, '--out', out);
    assert.match(tried.stdout, /The written file, read again, beside the model:\n\nPrompt: "Once upon a time"/);
    assert.match(tried.stdout, /^dense +smaller\.safetensors$/m);
    const left = await cli('apply', path, '--plan', plan, '--out', out, '--force', '--no-smoke-test', '--json');
    assert.equal((JSON.parse(left.stdout) as ApplyReport).smokeTest, null);
    const other = writeModel(folder.path('other'), { config: { model_type: 'mamba' } });
    await cli('plan', other, '--keep', '0.5', '--out', plan, '--force');
    const unknown = await cli('apply', other, '--plan', plan, '--out', out, '--force');
    assert.equal(unknown.code, 0);
    assert.match(unknown.stdout, /^The written file was not tried: .*"mamba".*$/m);
  });

  it('exits with 2 and one line for a prompt that is missing or empty, and for a plan beside a file', async () => {
    const path = writeModel(folder.path('model'));
    for (const words of [
      [],
      ['--prompt', ''],
      ['--prompt', 'a', '--ids', 'ids.txt'],
      ['--prompt', 'a', '--tokens', '0'],
    ]) {
      const { code, stderr } = await cli('generate', path, ...words);
      assert.equal(code, 2);
      assert.match(stderr, /^rankscope: [^\n]+\n$/);
    }
    const both = await cli('generate', path, '--prompt', 'a', '--plan', 'plan.json', '--file', path);
    assert.equal(both.code, 2);
  });

  it('fails with the way to give ids where there is no tokenizer', async () => {
    const path = writeModel(folder.path('model'), { files: {} });
    const { code, stderr } = await cli('generate', path, '--prompt', 'once');
    assert.equal(code, 1);
    assert.match(stderr, /tokenizer.*--ids/);
  });
});
