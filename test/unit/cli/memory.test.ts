import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { testFolder } from '../formats/folder.ts';
import { safetensorsBytes } from '../formats/safetensorsBytes.ts';
import { ended, start } from './run.ts';

const SIZE = 4096;
const SHARDS = 4;
/** Matrices of a shard. */
const COUNT = 7;
const MATRIX_BYTES = SIZE * SIZE * 4;

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
    let peak = 0;
    const timer = setInterval(() => {
      peak = Math.max(peak, peakOf(child.pid ?? 0));
    }, 50);
    const { code, stdout, stderr } = await ended(child).finally(() => clearInterval(timer));
    assert.deepEqual([code, stderr], [0, '']);
    assert.equal((JSON.parse(stdout) as { matrices: unknown[] }).matrices.length, SHARDS * COUNT);
    assert.ok(peak > 50e6 && peak < bound, `${(peak / 1e6).toFixed(0)} MB, ${(bound / 1e6).toFixed(0)} MB are allowed`);
  });

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

/** The most a process has held so far, in bytes; 0 once it is gone. */
function peakOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
