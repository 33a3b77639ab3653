import assert from 'node:assert/strict';
import type { LoraCount } from '../../../src/model/lora/count.ts';
import { testFolder } from '../formats/folder.ts';
import { f32File } from '../formats/safetensorsBytes.ts';
import { run } from './run.ts';

describe('rankscope lora', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path('cache'), 'lora', ...words);
  const zeros = (...shape: number[]) => ({ shape, values: Array<number>(shape.reduce((a, b) => a * b)).fill(0) });

  it('counts the parameters of a checkpoint from its directory', async () => {
    const layer = (n: number) => ({
      [`model.layers.${n}.self_attn.q_proj.weight`]: zeros(4, 4),
      [`model.layers.${n}.self_attn.k_proj.weight`]: zeros(2, 4),
      [`model.layers.${n}.mlp.down_proj.weight`]: zeros(4, 8),
    });
    const model = folder.write('model.safetensors', f32File({ ...layer(0), ...layer(1) }));
    const { code, stdout } = await cli('count', model, '--ranks', '2', '--targets', 'down_proj', '--json');
    assert.equal(code, 0);
    const { rows, model: counted } = JSON.parse(stdout) as LoraCount;
    const parameters = Object.fromEntries(rows.map((row) => [row.targets, row.parameters]));
    assert.deepEqual(parameters, { 'q,v': 32, attention: 56, mlp: 48, 'all-linear': 104, down_proj: 48 });
    assert.deepEqual([counted.hidden, counted.parameters], [4, 112]);
  });

  it('names its commands where the second word is missing or unknown', async () => {
    const outcomes = [await cli(), await cli('cuont'), await cli('--help')];
    assert.deepEqual(
      outcomes.map(({ code }) => code),
      [2, 2, 0],
    );
    assert.match(outcomes[1]!.stderr, /unknown command 'lora cuont': use one of count/);
    assert.match(outcomes[2]!.stdout, /lora count +parameters/);
  });
});
