import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, parse } from 'node:path';
import type { Checkpoint } from '../../../src/checkpoint/checkpoint.ts';
import type { Tensor } from '../../../src/checkpoint/tensor.ts';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { ggufForm } from '../../../src/network/ggufForm.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { f32s, ggufBytes, text, u32 } from '../formats/gguf/ggufBytes.ts';
import { python } from '../formats/python.ts';
import { readAll, withCheckpoint } from '../formats/readAll.ts';
import { scratchFolder } from '../write/written.ts';

/** The stored bytes of a tensor, asked for in pieces that end inside of rows and of numbers. */
async function bytesOf(tensor: Tensor): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < tensor.bytes; at += 1021)
    pieces.push((await tensor.readStored!(at, new Uint8Array(Math.min(1021, tensor.bytes - at))))!);
  return Buffer.concat(pieces);
}

async function singularValues(checkpoint: Checkpoint, name: string): Promise<readonly number[]> {
  const tensor = checkpoint.tensors.find((each) => each.name === name)!;
  const [rows, cols] = tensor.shape as [number, number];
  const backend = createReferenceBackend();
  const matrix = await backend.allocate(rows, cols);
  await backend.upload(matrix, 0, rows, (out) => tensor.read(0, out));
  const { values } = await backend.svd(matrix, Math.min(rows, cols));
  return [...values];
}

describe('a GGUF checkpoint in the form of Hugging Face', function () {
  this.timeout(180_000);
  const folder = scratchFolder();

  it('has the names and values of transformers’ model, bit for bit, for every known architecture', async function () {
    const script = readFileSync('test/python/make_gguf.py', 'utf8');
    const made = python(this, ['torch', 'transformers', 'gguf', 'safetensors'], script, folder) as object;
    assert.equal(Object.keys(made).length, 34);
    for (const name of Object.keys(made)) {
      const expected = await withCheckpoint(join(folder, `${name}.safetensors`), readAll);
      await withCheckpoint(join(folder, `${name}.gguf`), async (checkpoint) => {
        const form = ggufForm(checkpoint)!;
        const values = await readAll(form.checkpoint);
        assert.deepEqual(Object.keys(values).sort(), Object.keys(expected).sort(), name);
        for (const [tensor, each] of Object.entries(values))
          assert.deepEqual(
            Buffer.from(Float32Array.from(each).buffer),
            Buffer.from(Float32Array.from(expected[tensor]!).buffer),
            `${name}: ${tensor}`,
          );
        for (const tensor of form.checkpoint.tensors)
          if (tensor.readStored)
            assert.deepEqual(
              await bytesOf(tensor),
              Buffer.from(Float32Array.from(expected[tensor.name]!).buffer),
              `${name}: bytes of ${tensor.name}`,
            );
        assert.ok(
          form.remarks.every((remark) => /\(tied\)\.$/.test(remark)),
          form.remarks.join(),
        );
      });
    }
  });

  it('equals Hugging Face’s stories260K, bit for bit, when made from llama.cpp’s F32', async function () {
    const expected = await withCheckpoint(checkpointPath(this, 'stories260K-hf/model.safetensors'), readAll);
    await withCheckpoint(checkpointPath(this, 'stories260K-gguf/stories260K.F32.gguf'), async (checkpoint) => {
      const form = ggufForm(checkpoint)!;
      assert.deepEqual(await readAll(form.checkpoint), expected);
      assert.deepEqual(form.tiedHead, { embedding: 'model.embed_tokens.weight', head: 'lm_head.weight' });
      const own = await readAll(checkpoint);
      assert.notDeepEqual(own['blk.0.attn_q.weight'], expected['model.layers.0.self_attn.q_proj.weight']);
    });
  });

  it('equals what transformers’ own reader makes of stories260K in BF16, Q8_0 and Q4_0', async function () {
    const files = ['BF16', 'Q8_0', 'Q4_0'].map((type) =>
      checkpointPath(this, `stories260K-gguf/stories260K.${type}.gguf`),
    );
    const script = `
import sys, torch
from pathlib import Path
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint
folder, *files = sys.argv[1:]
for file in map(Path, files):
    config = AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    with torch.device('meta'):
        model = AutoModelForCausalLM.from_config(config)
    tensors = load_gguf_checkpoint(str(file), return_tensors=True, model_to_load=model)['tensors']
    save_file({name: value.float().contiguous() for name, value in tensors.items()}, f'{folder}/{file.stem}.safetensors')`;
    python(this, ['torch', 'transformers', 'gguf', 'safetensors'], script, folder, ...files);
    for (const file of files) {
      const expected = await withCheckpoint(join(folder, `${parse(file).name}.safetensors`), readAll);
      await withCheckpoint(file, async (checkpoint) => {
        assert.deepEqual(await readAll(ggufForm(checkpoint)!.checkpoint), expected);
      });
    }
  });

  it('has the same singular values despite another order of rows', async function () {
    await withCheckpoint(checkpointPath(this, 'stories260K-gguf/stories260K.Q8_0.gguf'), async (checkpoint) => {
      const form = ggufForm(checkpoint)!.checkpoint;
      const own = await singularValues(checkpoint, 'blk.1.attn_k.weight');
      const there = await singularValues(form, 'model.layers.1.self_attn.k_proj.weight');
      const bound = 64 * Number.EPSILON * own[0]!;
      for (const [k, value] of own.entries()) assert.ok(Math.abs(value - there[k]!) <= bound, `value ${k}`);
    });
  });

  it('keeps unknown tensors under their names and omits computed ones, with remarks', async () => {
    const word = (value: string) => text(value);
    const tensor = (name: string, ...dimensions: number[]) => {
      const count = dimensions.reduce((product, each) => product * each, 1);
      return { name, dimensions, type: 0, data: f32s(...Array.from({ length: count }, (_, i) => i)) };
    };
    const open = async (metadata: [string, number, Uint8Array][], use: (checkpoint: Checkpoint) => void) => {
      const file = join(folder, 'made.gguf');
      const tensors = [
        tensor('blk.0.attn_q.weight', 2, 8),
        tensor('blk.0.hyper.weight', 2, 2),
        tensor('rope_freqs.weight', 4),
      ];
      writeFileSync(file, ggufBytes({ metadata, tensors }));
      await withCheckpoint(file, use);
    };
    await open(
      [
        ['general.architecture', 8, word('llama')],
        ['llama.attention.head_count', 4, u32(2)],
      ],
      (checkpoint) => {
        const { checkpoint: there, remarks, parametersLeftOut } = ggufForm(checkpoint)!;
        assert.deepEqual(
          there.tensors.map(({ name }) => name),
          ['model.layers.0.self_attn.q_proj.weight', 'blk.0.hyper.weight'],
        );
        assert.equal(parametersLeftOut, 4);
        assert.match(remarks.join(), /1 tensors keep llama\.cpp's names.*blk\.0\.hyper\.weight/);
      },
    );
    for (const metadata of [
      [['general.architecture', 8, word('unheard-of')]],
      [['general.architecture', 8, word('llama')]],
      [],
    ] as [string, number, Uint8Array][][])
      await open(metadata, (checkpoint) => {
        const form = ggufForm(checkpoint)!;
        assert.equal(form.checkpoint, checkpoint);
        assert.match(form.remarks.join(), /names and the order of rows are llama\.cpp's/);
      });
  });
});
