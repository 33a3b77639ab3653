import assert from 'node:assert/strict';
import { chmodSync, symlinkSync } from 'node:fs';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { testFolder } from '../formats/folder.ts';
import { rejectsWith } from '../formats/rejectsWith.ts';
import { f32File } from '../formats/safetensorsBytes.ts';

const ONE = f32File({ a: { shape: [1, 2], values: [1, 2] } });
const TWO = f32File({ b: { shape: [2], values: [3, 4] } });
const INDEX = JSON.stringify({
  metadata: { total_size: 16 },
  weight_map: { a: 'one.safetensors', b: 'two.safetensors' },
});

describe('opening', () => {
  const folder = testFolder();

  async function names(path: string): Promise<string[]> {
    const checkpoint = await openCheckpoint(path);
    await checkpoint.close();
    assert.equal(checkpoint.path, path);
    return checkpoint.tensors.map((tensor) => tensor.name);
  }

  it('takes the single file of a folder', async () => {
    folder.write('model.safetensors', ONE);
    folder.write('config.json', '{}');
    assert.deepEqual(await names(folder.path()), ['a']);
  });

  it('knows what the configurations beside a checkpoint say of it', async () => {
    const pair = {
      'x.lora_A.weight': { shape: [1, 2], values: [1, 2] },
      'x.lora_B.weight': { shape: [2, 1], values: [1, 2] },
    };
    folder.write('adapter_model.safetensors', f32File(pair, { format: 'pt' }));
    folder.write('adapter_config.json', JSON.stringify({ r: 1, lora_alpha: 2, base_model_name_or_path: 'gpt2' }));
    folder.write('config.json', '{ broken');
    const checkpoint = await openCheckpoint(folder.path());
    assert.deepEqual(Object.fromEntries(checkpoint.metadata), {
      format: 'pt',
      'adapter_config.json: base_model_name_or_path': 'gpt2',
      'adapter_config.json: r': '1',
      'adapter_config.json: lora_alpha': '2',
    });
    await checkpoint.close();
  });

  it('passes over statistics of activations beside the model', async () => {
    folder.write('model.safetensors', ONE);
    folder.write('llama.activations.safetensors', TWO);
    assert.deepEqual(await names(folder.path()), ['a']);
    assert.deepEqual(await names(folder.path('llama.activations.safetensors')), ['b']);
  });

  it('takes the index of a folder before a file', async () => {
    folder.write('one.safetensors', ONE);
    folder.write('two.safetensors', TWO);
    folder.write('model.safetensors', ONE);
    folder.write('model.safetensors.index.json', INDEX);
    assert.deepEqual(await names(folder.path()), ['a', 'b']);
    const checkpoint = await openCheckpoint(folder.path('model.safetensors.index.json'));
    assert.deepEqual(
      checkpoint.files.map((file) => file.path),
      ['model.safetensors.index.json', 'one.safetensors', 'two.safetensors'].map((name) => folder.path(name)),
    );
    assert.deepEqual(
      checkpoint.tensors.map((tensor) => checkpoint.files.indexOf(tensor.file)),
      [1, 2],
    );
    const values = new Float32Array(2);
    await checkpoint.tensors[1]!.read(0, values);
    assert.deepEqual([...values], [3, 4]);
    await checkpoint.close();
  });

  it('takes the shards of a set without an index for one model, by their folder or by any of them', async () => {
    folder.write('model-00001-of-00002.safetensors', ONE);
    folder.write('model-00002-of-00002.safetensors', TWO);
    folder.write('config.json', '{}');
    for (const path of [
      folder.path(),
      folder.path('model-00001-of-00002.safetensors'),
      folder.path('model-00002-of-00002.safetensors'),
    ])
      assert.deepEqual(await names(path), ['a', 'b']);
    const checkpoint = await openCheckpoint(folder.path());
    assert.deepEqual(checkpoint.warnings, []);
    assert.deepEqual(
      checkpoint.tensors.map(({ file }) => file.path),
      ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'].map((name) => folder.path(name)),
    );
    const values = new Float32Array(2);
    await checkpoint.tensors[1]!.read(0, values);
    assert.deepEqual([...values], [3, 4]);
    await checkpoint.close();
  });

  it('follows the links of the hub cache to shards without an index', async () => {
    const root = 'models--me--mine';
    for (const [i, content] of [ONE, TWO].entries()) {
      folder.write(`${root}/blobs/${i}`, content);
      folder.write(`${root}/snapshots/abc/.keep`, '');
      symlinkSync(`../../blobs/${i}`, folder.path(`${root}/snapshots/abc/model-0000${i + 1}-of-00002.safetensors`));
    }
    assert.deepEqual(await names(folder.path(`${root}/snapshots/abc`)), ['a', 'b']);
  });

  it('takes safetensors before pickles where both are in shards', async () => {
    folder.write('model-00001-of-00002.safetensors', ONE);
    folder.write('model-00002-of-00002.safetensors', TWO);
    folder.write('pytorch_model-00001-of-00003.bin', 'x');
    folder.write('pytorch_model-00002-of-00003.bin', 'x');
    assert.deepEqual(await names(folder.path()), ['a', 'b']);
  });

  it('names the shards of a set that are missing, and shows the others', async () => {
    folder.write('model-00002-of-00003.safetensors', TWO);
    const checkpoint = await openCheckpoint(folder.path());
    assert.deepEqual(
      checkpoint.tensors.map(({ name }) => name),
      ['b'],
    );
    assert.match(
      checkpoint.warnings.join(),
      /2 of 3 shards are missing \(model-00001-of-00003\.safetensors, model-00003-of-00003\.safetensors\)/,
    );
    await checkpoint.close();
  });

  it('refuses shards of a set that hold the same tensor', async () => {
    folder.write('model-00001-of-00002.safetensors', ONE);
    folder.write('model-00002-of-00002.safetensors', ONE);
    await rejectsWith(openCheckpoint(folder.path()), 'malformed', /two of its shards hold the tensor "a"/);
  });

  it('opens a shard by itself where an index stands beside it, and says so', async () => {
    folder.write('model-00002-of-00002.safetensors', TWO);
    folder.write('model.safetensors.index.json', INDEX);
    const checkpoint = await openCheckpoint(folder.path('model-00002-of-00002.safetensors'));
    assert.deepEqual(checkpoint.warnings, ['This is shard 2 of 2; open its folder or index to see the whole model.']);
    await checkpoint.close();
  });

  it('follows the links of the local hub cache', async () => {
    const root = 'models--me--mine';
    folder.write(`${root}/blobs/111`, ONE);
    folder.write(`${root}/blobs/222`, TWO);
    folder.write(`${root}/blobs/333`, INDEX);
    folder.write(`${root}/snapshots/abc/config.json`, '{}');
    const links = [
      ['one.safetensors', '111'],
      ['two.safetensors', '222'],
      ['model.safetensors.index.json', '333'],
    ];
    for (const [name, blob] of links) symlinkSync(`../../blobs/${blob}`, folder.path(`${root}/snapshots/abc/${name}`));
    assert.deepEqual(await names(folder.path(`${root}/snapshots/abc`)), ['a', 'b']);
    assert.deepEqual(await names(folder.path(`${root}/snapshots/abc/one.safetensors`)), ['a']);
  });

  for (const shard of [
    '../one.safetensors',
    '/etc/passwd',
    'C:\\one.safetensors',
    'x/../../one.safetensors',
    '',
    'a\0b',
  ])
    it(`refuses a shard named ${JSON.stringify(shard)}`, async () => {
      folder.write('one.safetensors', ONE);
      const index = folder.write('in/model.safetensors.index.json', JSON.stringify({ weight_map: { a: shard } }));
      await rejectsWith(openCheckpoint(index), 'malformed', /inside the folder/);
    });

  it('refuses a shard that is a link out of the folder', async () => {
    folder.write('one.safetensors', ONE);
    const index = folder.write(
      'in/model.safetensors.index.json',
      JSON.stringify({ weight_map: { a: 'one.safetensors' } }),
    );
    symlinkSync('../one.safetensors', folder.path('in/one.safetensors'));
    await rejectsWith(openCheckpoint(index), 'malformed', /leads out of the folder/);
  });

  it('names the shard that is missing', async () => {
    folder.write('one.safetensors', ONE);
    folder.write('model.safetensors.index.json', INDEX);
    await rejectsWith(openCheckpoint(folder.path()), 'not-found', /two\.safetensors/, /index\.json names it/);
  });

  it('names the tensor that its shard does not hold', async () => {
    folder.write('one.safetensors', ONE);
    folder.write('two.safetensors', ONE);
    folder.write('model.safetensors.index.json', INDEX);
    await rejectsWith(openCheckpoint(folder.path()), 'malformed', /"b" is in two\.safetensors/);
  });

  it('says what it left out where shards hold more than the index says', async () => {
    folder.write('one.safetensors', ONE);
    folder.write('two.safetensors', f32File({ a: { shape: [1], values: [7] }, b: { shape: [1], values: [8] } }));
    folder.write('model.safetensors.index.json', INDEX);
    const checkpoint = await openCheckpoint(folder.path());
    assert.match(checkpoint.warnings.join(), /hold 1 tensors that the index does not list/);
    assert.deepEqual(checkpoint.tensors[0]?.shape, [1, 2]);
    await checkpoint.close();
  });

  it('does not take an index as a shard of an index', async () => {
    const name = 'model.safetensors.index.json';
    folder.write(name, JSON.stringify({ weight_map: { a: name } }));
    await rejectsWith(openCheckpoint(folder.path(name)), 'not-a-checkpoint');
  });

  for (const content of [
    '{"weight_map": [',
    '{"weight_map": 3}',
    '{"weight_map": {"a": 3}}',
    '{ "a": 1 }',
    '["weights"]',
  ])
    it(`refuses the index ${content}`, () =>
      rejectsWith(openCheckpoint(folder.write('model.safetensors.index.json', content)), 'malformed', /index\.json/));

  const folders: Record<string, readonly [name: string, says: RegExp]> = {
    'an Orbax checkpoint': ['manifest.ocdbt', /Orbax checkpoint.*safetensors\.flax/],
    'a Zarr array': ['.zarray', /Zarr/],
    'a checkpoint of torch.distributed': ['__0_0.distcp', /torch\.distributed.*dcp_to_torch/],
  };
  for (const [what, [name, says]] of Object.entries(folders))
    it(`calls ${what} what it is, by its folder and by its file`, async () => {
      const file = folder.write(`in/${name}`, Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(20)]));
      folder.write('in/training.pt', 'x');
      for (const path of [folder.path('in'), file]) await rejectsWith(openCheckpoint(path), 'unsupported', says);
    });

  it('opens a file of another name for what it is', async () => {
    assert.deepEqual(await names(folder.write('weights.dat', ONE)), ['a']);
  });

  const others: Record<string, readonly [content: string | Uint8Array, says: RegExp]> = {
    'an empty file': ['', /empty/],
    'a web page': ['\n<!DOCTYPE html><html><body>404', /web page/],
    'a Git LFS pointer': [
      'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1234\n',
      /1234 bytes.*git lfs pull/,
    ],
    'a gzip archive': [new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0]), /gzip/],
    'a download of zeros': [new Uint8Array(5000), /zeros/],
    'a few bytes': ['abc', /only 3 bytes/],
    'a configuration': ['{"model_type": "llama"}', /JSON file.*open the folder/],
    'random bytes': [new Uint8Array([0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5]), /begins with the bytes de ad/],
    'a text': ['these are my notes on the modél', /text file/],
    'a TensorFlow Lite model': ['\x1c\0\0\0TFL3\x14\0\0\0', /TensorFlow Lite/],
    'an ExecuTorch program': ['\x1c\0\0\0ET12\x14\0\0\0', /ExecuTorch/],
    'a MATLAB file': ['MATLAB 5.0 MAT-file, Platform: GLNXA64', /MATLAB file.*scipy\.io\.loadmat/],
    'a Parquet table': ['PAR1\x15\x04\x15\x10', /Parquet/],
  };
  for (const [what, [content, says]] of Object.entries(others))
    it(`calls ${what} what it is`, () =>
      rejectsWith(openCheckpoint(folder.write('model.dat', content)), 'not-a-checkpoint', /model\.dat/, says));

  for (const [magic, word, says] of [
    ['lmgg', 1, /ggml.*before GGUF.*open the model that it was converted from/],
    ['lmgg', 51865, /a model of whisper\.cpp/],
    ['fmgg', 101, /ggmf version 101.*a model of rwkv\.cpp/],
    ['tjgg', 3, /ggjt version 3.*convert_llama_ggml_to_gguf\.py/],
    ['algg', 1, /a LoRA adapter of llama\.cpp/],
    ['nsgg', 1, /a saved session of llama\.cpp/],
  ] as const)
    for (const name of ['ggml-model.bin', 'model'])
      it(`names a GGML file ${name} of the time before GGUF, with ${magic} and ${word} at its start`, () => {
        const head = Buffer.alloc(32, 'a');
        head.write(magic, 'latin1');
        head.writeUInt32LE(word, 4);
        return rejectsWith(openCheckpoint(folder.write(name, head)), 'unsupported', says);
      });

  it('names a GGML file that is cut off after its magic', () =>
    rejectsWith(openCheckpoint(folder.write('cut.bin', 'lmgg')), 'unsupported', /GGML file \(ggml\)/));

  it('names formats without a magic number by the name of the file', async () => {
    const bytes = new Uint8Array([0x0a, 0xee, 0xbe, 0xef, 1, 2, 3, 4, 5]);
    for (const [name, says] of [
      ['net.caffemodel', /Caffe model.*Convert it to ONNX/],
      ['frozen.pb', /TensorFlow graph.*SavedModel/],
      ['yolo.weights', /Darknet/],
      ['net.mlmodel', /Core ML/],
    ] as const)
      await rejectsWith(openCheckpoint(folder.write(name, bytes)), 'not-a-checkpoint', says);
  });

  it('offers the models of a diffusers pipeline', async () => {
    folder.write('pipe/model_index.json', JSON.stringify({ _class_name: 'FluxPipeline', vae: ['diffusers', 'X'] }));
    folder.write('pipe/flux1-dev.safetensors', ONE);
    folder.write('pipe/transformer/diffusion_pytorch_model.safetensors.index.json', INDEX);
    folder.write('pipe/vae/diffusion_pytorch_model.safetensors', ONE);
    folder.write('pipe/scheduler/scheduler_config.json', '{}');
    const error = await rejectsWith(
      openCheckpoint(folder.path('pipe')),
      'not-a-checkpoint',
      /diffusers pipeline \(FluxPipeline\) of 2 models \(transformer, vae\)/,
      /Open one of them/,
    );
    assert.deepEqual(
      error.choices,
      ['transformer', 'vae', 'flux1-dev.safetensors'].map((name) => folder.path(`pipe/${name}`)),
    );
    assert.deepEqual(await names(folder.path('pipe/vae')), ['a']);
  });

  it('offers the folders inside a folder that hold checkpoints, and the files of one that holds several', async () => {
    folder.write('run/checkpoint-10/model.safetensors', ONE);
    folder.write('run/checkpoint-20/model.safetensors', ONE);
    folder.write('run/logs/events.txt', 'x');
    const inside = await rejectsWith(openCheckpoint(folder.path('run')), 'not-a-checkpoint', /in 2 folders inside/);
    assert.deepEqual(
      inside.choices,
      ['checkpoint-10', 'checkpoint-20'].map((name) => folder.path(`run/${name}`)),
    );
    folder.write('two/a.safetensors', ONE);
    folder.write('two/b.safetensors', TWO);
    const several = await rejectsWith(openCheckpoint(folder.path('two')), 'not-a-checkpoint', /holds 2 checkpoints/);
    assert.deepEqual(
      several.choices,
      ['a.safetensors', 'b.safetensors'].map((name) => folder.path(`two/${name}`)),
    );
  });

  it('says that a folder holds no checkpoint, or too many', async () => {
    folder.write('none/config.json', '{}');
    await rejectsWith(openCheckpoint(folder.path('none')), 'not-a-checkpoint', /no checkpoint/);
    folder.write('many/a.safetensors', ONE);
    folder.write('many/b.safetensors', TWO);
    await rejectsWith(openCheckpoint(folder.path('many')), 'not-a-checkpoint', /2 checkpoints/, /a\.safetensors/);
  });

  it('says that reading is not permitted', async function () {
    if (process.platform === 'win32' || process.getuid?.() === 0) {
      this.test!.title += ' [skipped: needs a user who is not root]';
      this.skip();
    }
    chmodSync(folder.write('model.safetensors', ONE), 0);
    await rejectsWith(openCheckpoint(folder.path('model.safetensors')), 'unreadable', /permitted/);
  });

  it('stops when it is cancelled', () =>
    rejectsWith(openCheckpoint(folder.write('model.safetensors', ONE), { signal: AbortSignal.abort() }), 'cancelled'));
});
