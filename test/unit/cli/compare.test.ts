import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import type { AdapterComparison } from '../../../src/model/comparison.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { testFolder } from '../formats/folder.ts';
import { f32File } from '../formats/safetensorsBytes.ts';
import { run } from './run.ts';

describe('rankscope compare', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const cli = (...words: string[]) => run(folder.path('cache'), 'compare', ...words);
  const adapter = (name: string, up: readonly number[], base: string, layers = 2) => {
    const tensors = Array.from({ length: layers }, (_, layer) => [
      [`base_model.model.layers.${layer}.q.lora_A.weight`, { shape: [1, 3], values: [3, 0, 4] }] as const,
      [`base_model.model.layers.${layer}.q.lora_B.weight`, { shape: [2, 1], values: up }] as const,
    ]).flat();
    const config = { r: 1, lora_alpha: 2, base_model_name_or_path: base };
    folder.write(`${name}/adapter_config.json`, JSON.stringify(config));
    folder.write(`${name}/adapter_model.safetensors`, f32File(Object.fromEntries(tensors)));
    return folder.path(name);
  };

  it('prints a table of two adapters with norms, ranks, cosine, overlaps and merged rank, and notes', async () => {
    const { code, stdout, stderr } = await cli(adapter('de', [1, 0], 'gpt2'), adapter('en', [0, 1], 'opt', 1));
    assert.deepEqual([code, stderr], [0, '']);
    const lines = stdout.split('\n').map((line) => line.trim().split(/ {2,}/));
    assert.deepEqual(lines[1], ['de', 'A', '2', '0', '14.14', 'gpt2']);
    assert.deepEqual(lines[2], ['en', 'B', '1', '0', '10', 'opt']);
    assert.deepEqual(lines[5], ['A B', '0.000', '0.0 %', '100.0 %']);
    assert.deepEqual(lines[8], ['0.q', '10', '1/1', '10', '1/1', '0.000', '0.0 %', '100.0 %', '1/2']);
    assert.deepEqual(lines[9], ['1.q', '10', '1/1', 'x', '-', '-', '-', '-']);
    assert.match(stdout, /Note: The adapters name different bases \(de: gpt2; en: opt\)/);
    assert.match(stdout, /Note: 1 of 2 layers are not adapted by all adapters/);
  });

  it('prints each pair of three adapters on its own line', async () => {
    const paths = [adapter('de', [1, 0], 'gpt2'), adapter('en', [0, 1], 'gpt2'), adapter('fr', [0, 0], 'gpt2')];
    const { stdout } = await cli(...paths);
    assert.match(stdout, /^ +B C +- +- +-$/m);
    assert.match(stdout, /dead/);
  });

  it('prints one object that matches its schema with --json, and writes the same with --out', async () => {
    const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(
      JSON.parse(readFileSync('media/schemas/comparison.schema.json', 'utf8')) as object,
    );
    const out = folder.path('out.json');
    const paths = [adapter('de', [1, 0], 'gpt2'), adapter('en', [0, 1], 'gpt2', 3), adapter('fr', [0, 0], 'gpt2')];
    const { code, stdout } = await cli(...paths, '--json', '--out', out);
    assert.equal(code, 0);
    const comparison = JSON.parse(stdout) as AdapterComparison;
    assert.ok(validate(comparison), JSON.stringify(validate.errors));
    assert.deepEqual([comparison.adapters.length, comparison.layers.length], [3, 3]);
    assert.equal(readFileSync(out, 'utf8'), stdout);
  });

  it('matches the schema for real adapters', async function () {
    const real = checkpointPath(this, 'lora-gpt2-tigrinya');
    const { stdout } = await cli(real, `${real}/adapter_model.safetensors`, '--json');
    const { layers, adapters } = JSON.parse(stdout) as AdapterComparison;
    assert.deepEqual([layers.length, adapters.map(({ base }) => base)], [36, ['gpt2', 'gpt2']]);
  });

  it('exits with 2 for a single adapter and for a file without one, and with 1 for a missing file', async () => {
    const one = adapter('de', [1, 0], 'gpt2');
    const none = folder.write('x.safetensors', f32File({ w: { shape: [2, 2], values: [1, 2, 3, 4] } }));
    assert.equal((await cli()).code, 2);
    assert.deepEqual([(await cli(one)).code, (await cli(one, none)).code], [2, 2]);
    const missing = await cli(one, folder.path('nothing'));
    assert.deepEqual([missing.code, missing.stdout], [1, '']);
    assert.match(missing.stderr, /^rankscope: [^\n]+nothing[^\n]+\n$/);
  });
});
