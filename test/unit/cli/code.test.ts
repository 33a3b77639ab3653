import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Plan } from '../../../src/model/plan/plan.ts';
import { testFolder } from '../formats/folder.ts';
import { run } from './run.ts';

describe('rankscope code', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path('cache'), ...words);

  it('prints the layers, or writes them with the ranks of a plan', async () => {
    const { code, stdout, stderr } = await cli('code');
    assert.deepEqual([code, stderr], [0, '']);
    for (const name of [
      'LowRankLinear',
      'LowRankConv',
      'LowRankConv1D',
      'LowRankEmbedding',
      'FusedLowRankLinear',
      'LowRankExperts',
    ])
      assert.match(stdout, new RegExp(`^class ${name}\\(`, 'm'));
    assert.ok(!/^RANKS/m.test(stdout));
    const [plan, out] = [folder.path('plan.json'), folder.path('layers.py')];
    const planned = await cli(
      'plan',
      'test/fixtures/sample/model.safetensors',
      '--keep',
      '0.6',
      '--factors',
      '3',
      '--out',
      plan,
    );
    assert.equal(planned.code, 0);
    assert.equal((await cli('code', '--plan', plan, '--out', out)).code, 0);
    const text = readFileSync(out, 'utf8');
    assert.match(text, /^class SVDLinear\(/m);
    const { matrices } = JSON.parse(readFileSync(plan, 'utf8')) as Plan;
    const chosen = matrices.filter(({ rank }) => rank !== null);
    assert.ok(chosen.length > 5);
    for (const { name, rank } of chosen) assert.ok(text.includes(`    "${name}": ${rank},\n`), name);
  });

  it('replaces no file without being told, nor the plan', async () => {
    const file = folder.write('mine.py', 'x = 1\n');
    const kept = await cli('code', '--out', file);
    assert.deepEqual([kept.code, readFileSync(file, 'utf8')], [2, 'x = 1\n']);
    assert.equal((await cli('code', '--out', file, '--force')).code, 0);
    assert.equal((await cli('code', '--factors', '4')).code, 2);
    assert.match((await cli('code', '--plan', file, '--out', file, '--force')).stderr, /this is the input file/);
  });
});
