import assert from 'node:assert/strict';
import { Allowance } from '../../../src/bytes/allowance.ts';
import { MAX_CONFIGURATION, MAX_JSON_DEPTH } from '../../../src/bytes/limits.ts';
import { configurationBeside } from '../../../src/checkpoint/configuration.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { testFolder } from '../formats/folder.ts';
import { rejectsWith } from '../formats/rejectsWith.ts';
import { f32File } from '../formats/safetensorsBytes.ts';

const MB = 1 << 20;

describe('a configuration beside a checkpoint', () => {
  const folder = testFolder();

  const read = (text: string | Uint8Array, allowance = new Allowance('model')) => {
    folder.write('config.json', text);
    return configurationBeside(folder.path(), 'config.json', { allowance });
  };

  it('is paid for from the allowance of the checkpoint', async () => {
    const allowance = new Allowance('model');
    const before = allowance.remaining;
    assert.deepEqual(await read('{"model_type":"llama"}', allowance), { model_type: 'llama' });
    assert.ok(allowance.remaining < before);
  });

  it('is ignored if it is missing, broken or no object', async () => {
    const allowance = new Allowance('model');
    assert.equal(await configurationBeside(folder.path(), 'none.json', { allowance }), undefined);
    for (const text of ['', '{', '[]', '3', '{"a":}', Uint8Array.of(0x22, 0xff, 0x22)])
      assert.equal(await read(text), undefined);
  });

  it('is ignored if it has more bytes than are read', async () => {
    const padded = (bytes: number) => '{"a":1}'.padEnd(bytes);
    assert.deepEqual(await read(padded(MAX_CONFIGURATION)), { a: 1 });
    assert.equal(await read(padded(MAX_CONFIGURATION + 1)), undefined);
  });

  it('is ignored, and costs nothing, if the allowance does not reach for it', async () => {
    const text = `{"a":[${'[],'.repeat(300_000)}0]}`;
    const allowance = new Allowance('model', 10 * MB);
    assert.equal(await read(text, allowance), undefined);
    assert.equal(allowance.remaining, 10 * MB);
    assert.ok(await read(text));
  });

  it('is ignored if its brackets are nested too deep', async () => {
    const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
    assert.ok(await read(nested(MAX_JSON_DEPTH)));
    assert.equal(await read(nested(MAX_JSON_DEPTH + 1)), undefined);
    assert.equal(await read('['.repeat(MB)), undefined);
  });

  it('leaves the checkpoint readable if it is hostile', async () => {
    const path = folder.write('model.safetensors', f32File({ 'w.scales': { shape: [2], values: [1, 2] } }));
    for (const name of ['config.json', 'quantize_config.json', 'adapter_config.json'])
      folder.write(name, `{"x":[${'[],'.repeat(650_000)}0]}`);
    const checkpoint = await openCheckpoint(path);
    const values = new Float32Array(2);
    await checkpoint.tensors[0]!.read(0, values);
    await checkpoint.close();
    assert.deepEqual([...values], [1, 2]);
  });

  it('stops being read when the opening is cancelled', async () => {
    folder.write('config.json', '{}');
    const context = { allowance: new Allowance('model'), signal: AbortSignal.abort() };
    await rejectsWith(configurationBeside(folder.path(), 'config.json', context), 'cancelled', /config\.json/);
  });
});
