import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { LoraCount } from '../../../src/model/lora/count.ts';
import type { LoraWritten } from '../../../src/model/lora/written.ts';
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

  const adapter = (name: string, rows: number, extra: object = {}) => {
    folder.write(`${name}/adapter_config.json`, JSON.stringify({ peft_type: 'LORA', r: 2, lora_alpha: 4, ...extra }));
    const values = (count: number) => Array.from({ length: count }, (_, i) => Math.sin(i + 1));
    const tensors = {
      'base_model.model.l.q_proj.lora_A.weight': { shape: [2, 3], values: values(6) },
      'base_model.model.l.q_proj.lora_B.weight': { shape: [rows, 2], values: values(2 * rows) },
    };
    folder.write(`${name}/adapter_model.safetensors`, f32File(tensors));
    return folder.path(name);
  };

  it('writes a resized adapter with patterns that match whole names only, and does not overwrite it', async () => {
    const [path, out] = [adapter('a', 4), folder.path('out')];
    const { code, stdout, stderr } = await cli('resize', path, '--rank', '1', '--out', out, '--json');
    assert.deepEqual([code, stderr], [0, '']);
    const { layers } = JSON.parse(stdout) as LoraWritten;
    assert.deepEqual(
      layers.map(({ rank, rankBefore }) => [rankBefore, rank]),
      [[2, 1]],
    );
    const config = JSON.parse(readFileSync(`${out}/adapter_config.json`, 'utf8')) as Record<string, unknown>;
    assert.deepEqual([config.r, config.lora_alpha, config.target_modules], [1, 1, ['l.q_proj']]);
    const again = await cli('resize', path, '--rank', '1', '--out', out);
    assert.deepEqual([again.code, /there is a file of this name/.test(again.stderr)], [2, true]);
    assert.equal((await cli('resize', path, '--rank', '1', '--out', path, '--force')).code, 2);
  });

  it('keeps the names of a resized file of kohya, with an alpha for each rank', async () => {
    const values = (count: number) => Array.from({ length: count }, (_, i) => Math.sin(i + 1));
    const file = folder.write(
      'kohya.safetensors',
      f32File({
        'lora_unet_mid_block_to_q.lora_down.weight': { shape: [2, 3], values: values(6) },
        'lora_unet_mid_block_to_q.lora_up.weight': { shape: [4, 2], values: values(8) },
        'lora_unet_mid_block_to_q.alpha': { shape: [], values: [1] },
      }),
    );
    const out = folder.path('resized.safetensors');
    assert.equal((await cli('resize', file, '--rank', '1', '--out', out)).code, 0);
    const bytes = readFileSync(out);
    const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString()) as object;
    const name = 'lora_unet_mid_block_to_q';
    assert.deepEqual(Object.keys(header).sort(), [
      `${name}.alpha`,
      `${name}.lora_down.weight`,
      `${name}.lora_up.weight`,
    ]);
    const merged = await cli('merge', file, file, '--out', folder.path('out'));
    assert.match(merged.stderr, /which PEFT would not find in the model/);
  });

  it('refuses adapters of different bases, naming the shapes, and what a loader cannot load', async () => {
    const [one, other] = [adapter('a', 4), adapter('b', 5)];
    const merged = await cli('merge', one, other, '--out', folder.path('out'));
    assert.match(merged.stderr, /its update of l\.q_proj is 5 x 3, that of .* is 4 x 3/);
    const comfy = await cli('convert', one, '--target', 'comfyui', '--out', folder.path('out'));
    assert.match(comfy.stderr, /does not read adapter_config\.json/);
    const base = folder.write('base.safetensors', f32File({ 'l.q_proj.weight': zeros(5, 3) }));
    const into = await cli('merge', one, '--into', base, '--out', folder.path('merged.safetensors'));
    assert.match(into.stderr, /its update of l\.q_proj is 4 x 3, the layer in .* is 5 x 3/);
    const none = await cli('resize', base, '--rank', '2', '--out', folder.path('out'));
    assert.match(none.stderr, /it holds no LoRA adapter/);
    assert.deepEqual(
      [merged, comfy, into, none].map(({ code }) => code),
      [2, 1, 2, 2],
    );
  });

  it('shows the intruder directions of an adapter before it weakens them', async () => {
    const path = adapter('a', 4);
    // The update is far larger than the base, and almost none of its directions is one of the base.
    const values = Array.from({ length: 12 }, (_, at) => (at === 0 ? 1e-3 : 0));
    const base = folder.write('base.safetensors', f32File({ 'l.q_proj.weight': { shape: [4, 3], values } }));
    const out = folder.path('out');
    const [shown, written] = [
      await cli('clean', path, '--base', base, '--threshold', '0.9', '--json'),
      await cli('clean', path, '--base', base, '--threshold', '0.9', '--out', out, '--json'),
    ].map(({ stdout }) => JSON.parse(stdout) as LoraWritten);
    assert.ok(shown!.layers[0]!.intruders!.length > 0);
    assert.deepEqual([shown!.layers, shown!.out, shown!.bytes], [written!.layers, null, 0]);
    assert.equal(written!.out, out);
    assert.match((await cli('clean', path, '--base', base)).stdout, /Nothing was written: that takes --out/);
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
