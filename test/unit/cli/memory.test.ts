import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import type { Evaluation } from '../../../src/model/evaluation.ts';
import { testFolder } from '../formats/folder.ts';
import { safetensorsBytes } from '../formats/safetensorsBytes.ts';
import { ended, type Outcome, start } from './run.ts';

const SIZE = 4096;
const SHARDS = 4;
/** Matrices of a shard. */
const COUNT = 7;
const MATRIX_BYTES = SIZE * SIZE * 4;
/** Of the decoder. */
const LAYERS = 30;
const VOCABULARY = 64;

describe('the memory of a whole checkpoint', function () {
  this.timeout(300_000);
  const folder = testFolder();

  it('is bounded by four times the largest matrix in f32 plus 300 MB, where all matrices would take more', async function () {
    if (process.platform !== 'linux') {
      this.test!.title += ' [skipped: only Linux tells the peak of a process]';
      this.skip();
    }
    const bound = 4 * MATRIX_BYTES + 300e6;
    assert.ok(SHARDS * COUNT * MATRIX_BYTES > 3 * bound, 'a third of all would not exceed the bound');
    const child = start(folder.path('cache'), [
      'analyze',
      sparseCheckpoint(),
      '--mode',
      'preview',
      '--json',
      '--no-cache',
    ]);
    const { code, stdout, stderr, peak } = await endedWithPeak(child);
    assert.deepEqual([code, stderr], [0, '']);
    assert.equal((JSON.parse(stdout) as { matrices: unknown[] }).matrices.length, SHARDS * COUNT);
    assert.ok(peak > 50e6 && peak < bound, `${(peak / 1e6).toFixed(0)} MB, ${(bound / 1e6).toFixed(0)} MB are allowed`);
  });

  it('is bounded by two blocks in f32 plus 300 MB while a text passes through it, and through another file', async function () {
    if (process.platform !== 'linux') {
      this.test!.title += ' [skipped: only Linux tells the peak of a process]';
      this.skip();
    }
    const { path, blockBytes } = sparseDecoder();
    const bound = 2 * blockBytes + 300e6;
    assert.ok(LAYERS * blockBytes > 2 * bound, 'half of all would not exceed the bound');
    const ids = folder.write('ids.json', JSON.stringify(Array.from({ length: 64 }, (_, k) => k)));
    const child = start(folder.path('cache'), [
      'evaluate',
      path,
      '--ids',
      ids,
      '--context',
      '32',
      '--file',
      path,
      '--json',
    ]);
    const { code, stdout, stderr, peak } = await endedWithPeak(child);
    assert.deepEqual([code, stderr], [0, '']);
    const { dense, variants } = JSON.parse(stdout) as Evaluation;
    // All weights are zero, so that all tokens are equally likely.
    for (const { perplexity } of [dense, ...variants]) assert.ok(Math.abs(perplexity / VOCABULARY - 1) < 1e-6);
    assert.ok(peak > 50e6 && peak < bound, `${(peak / 1e6).toFixed(0)} MB, ${(bound / 1e6).toFixed(0)} MB are allowed`);
  });

  /** A decoder of which every weight is a hole in the file. */
  function sparseDecoder() {
    const [width, inner] = [1024, 4096];
    const shapes: [string, number[]][] = [
      ['model.embed_tokens.weight', [VOCABULARY, width]],
      ['model.norm.weight', [width]],
    ];
    const block: [string, number[]][] = [
      ...['q', 'k', 'v', 'o'].map((part): [string, number[]] => [`self_attn.${part}_proj.weight`, [width, width]]),
      ['mlp.gate_proj.weight', [inner, width]],
      ['mlp.up_proj.weight', [inner, width]],
      ['mlp.down_proj.weight', [width, inner]],
      ['input_layernorm.weight', [width]],
      ['post_attention_layernorm.weight', [width]],
    ];
    for (let layer = 0; layer < LAYERS; layer++)
      shapes.push(...block.map(([name, shape]): [string, number[]] => [`model.layers.${layer}.${name}`, shape]));
    let at = 0;
    const sizeOf = (shape: readonly number[]) => 4 * shape.reduce((product, side) => product * side, 1);
    const header = shapes.map(([name, shape]) => {
      const data_offsets = [at, at + sizeOf(shape)];
      at += sizeOf(shape);
      return [name, { dtype: 'F32', shape, data_offsets }];
    });
    const path = folder.write('model.safetensors', safetensorsBytes(Object.fromEntries(header)));
    truncateSync(path, statSync(path).size + at);
    folder.write(
      'config.json',
      JSON.stringify({
        model_type: 'llama',
        hidden_size: width,
        intermediate_size: inner,
        num_hidden_layers: LAYERS,
        num_attention_heads: 16,
        num_key_value_heads: 16,
        vocab_size: VOCABULARY,
        max_position_embeddings: 64,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: true,
        hidden_act: 'silu',
      }),
    );
    return { path, blockBytes: block.reduce((sum, [, shape]) => sum + sizeOf(shape), 0) };
  }

  /** Two gigabytes, hardly any of it on the disk: one entry of each matrix is written, so that no two are the same. */
  function sparseCheckpoint(): string {
    const shards = Array.from({ length: SHARDS }, (_, shard) => `model-${shard + 1}-of-${SHARDS}.safetensors`);
    const weightMap = shards.flatMap((file, shard) =>
      sparseShard(folder.path(file), shard).map((name) => [name, file]),
    );
    const index = folder.path('model.safetensors.index.json');
    writeFileSync(index, JSON.stringify({ metadata: {}, weight_map: Object.fromEntries(weightMap) }));
    return index;
  }
});

/** The names of its tensors. */
function sparseShard(file: string, shard: number): string[] {
  const names = Array.from({ length: COUNT }, (_, i) => `layers.${shard * COUNT + i}.w.weight`);
  const head = safetensorsBytes(
    Object.fromEntries(
      names.map((name, i) => [
        name,
        { dtype: 'F32', shape: [SIZE, SIZE], data_offsets: [i * MATRIX_BYTES, (i + 1) * MATRIX_BYTES] },
      ]),
    ),
  );
  const handle = openSync(file, 'w');
  writeSync(handle, head);
  for (let i = 0; i < COUNT; i++) {
    const entry = new Uint8Array(Float32Array.of(shard * COUNT + i + 1).buffer);
    writeSync(handle, entry, 0, 4, head.length + (i + 0.5) * MATRIX_BYTES);
  }
  ftruncateSync(handle, head.length + COUNT * MATRIX_BYTES);
  closeSync(handle);
  return names;
}

async function endedWithPeak(child: ChildProcess): Promise<Outcome & { readonly peak: number }> {
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, peakOf(child.pid ?? 0));
  }, 50);
  const outcome = await ended(child).finally(() => clearInterval(timer));
  return { ...outcome, peak };
}

/** The most a process has held so far, in bytes; 0 once it is gone. */
function peakOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
