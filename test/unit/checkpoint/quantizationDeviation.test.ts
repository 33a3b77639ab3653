import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import { elementCount } from '../../../src/base/shape.ts';
import { spreadRanges } from '../../../src/bytes/source/spreadRanges.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import type { Tensor } from '../../../src/checkpoint/tensor.ts';
import { BLOCK_VARIANCES } from '../../../src/formats/gguf/rounding.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { testFolder } from '../formats/folder.ts';
import { withCheckpoint } from '../formats/readAll.ts';
import { safetensorsBytes } from '../formats/safetensorsBytes.ts';

/**
 * The factor by which an estimate may be off, because the distribution of real weights within a step is not uniform.
 */
const FACTOR = 1.2;

const elementsOf = ({ shape }: Tensor) => elementCount(shape);

async function valuesOf(tensor: Tensor): Promise<Float32Array> {
  const out = new Float32Array(elementsOf(tensor));
  await tensor.read(0, out);
  return out;
}

/** Root of the mean squared difference. */
function distance(a: Float32Array, b: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < a.length; i++) squares += (a[i]! - b[i]!) ** 2;
  return Math.sqrt(squares / a.length);
}

function checkWithin(estimate: number | undefined, real: number, what: string): void {
  assert.ok(estimate !== undefined, `${what}: no estimate`);
  const off = estimate / real;
  assert.ok(
    off > 1 / FACTOR && off < FACTOR,
    `${what}: the estimate is ${estimate}, the true value ${real} (ratio ${off.toFixed(2)})`,
  );
}

const KNOWN = 'Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS'.split(' ');

describe('the estimated deviation of quantized matrices', () => {
  it('is within a factor of 1.2 of the true deviation for three real matrices in 12 types', async function () {
    await withCheckpoint(checkpointPath(this, 'kquants-gguf/real-matrices-all-quants.gguf'), async (checkpoint) => {
      const byName = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
      const matrices = checkpoint.tensors.filter(({ dtype }) => dtype === 'F32').map(({ name }) => name.slice(0, -4));
      assert.equal(matrices.length, 3);
      for (const name of matrices) {
        const truth = await valuesOf(byName.get(`${name}.F32`)!);
        for (const type of KNOWN) {
          const tensor = byName.get(`${name}.${type}`)!;
          const estimate = await tensor.deviation!(0, elementsOf(tensor));
          checkWithin(estimate, distance(await valuesOf(tensor), truth), `${name} ${type}`);
        }
      }
    });
  });

  it('is absent for floats, ternary types and types that round values jointly', async function () {
    await withCheckpoint(checkpointPath(this, 'kquants-gguf/real-matrices-all-quants.gguf'), async (checkpoint) => {
      for (const tensor of checkpoint.tensors)
        if (!KNOWN.includes(tensor.dtype))
          assert.equal(await tensor.deviation?.(0, elementsOf(tensor)), undefined, tensor.name);
    });
  });

  for (const type of ['Q4_0', 'Q5_1', 'Q8_0'])
    it(`is within a factor of 1.2 of the true deviation for every matrix of a model in ${type}`, async function () {
      const plain = await openCheckpoint(checkpointPath(this, 'stories260K-gguf/stories260K.F32.gguf'));
      try {
        await withCheckpoint(checkpointPath(this, `stories260K-gguf/stories260K.${type}.gguf`), async (checkpoint) => {
          const byName = new Map(plain.tensors.map((tensor) => [tensor.name, tensor]));
          const quantized = checkpoint.tensors.filter(({ dtype }) => dtype === type);
          assert.ok(quantized.length > 20);
          for (const tensor of quantized) {
            const real = distance(await valuesOf(tensor), await valuesOf(byName.get(tensor.name)!));
            const estimate = await tensor.deviation!(0, elementsOf(tensor));
            checkWithin(estimate, real, tensor.name);
          }
        });
      } finally {
        await plain.close();
      }
    });
});

/** Normal values whose scale differs from row to row, like that of groups of weights. */
function uneven(rows: number, cols: number): Float32Array {
  const random = seededRandom(3);
  return Float32Array.from({ length: rows * cols }, (_, i) => random.normal() * 4 ** -(Math.floor(i / cols) % 5));
}

describe('the estimated deviation of synthetic matrices', () => {
  const folder = testFolder();

  it('follows from the group scales of MLX, for a part of a matrix too', async () => {
    const [rows, cols, group] = [40, 256, 64];
    const values = uneven(rows, cols);
    const scales: number[] = [];
    const biases: number[] = [];
    const codes = new Uint8Array(values.length);
    for (let at = 0; at < values.length; at += group) {
      const block = values.subarray(at, at + group);
      const low = Math.min(...block);
      const step = (Math.max(...block) - low) / 255;
      scales.push(step);
      biases.push(low);
      for (const [i, value] of block.entries()) codes[at + i] = Math.round((value - low) / step);
    }
    const numbers = new Uint8Array(new Float32Array([...scales, ...biases]).buffer);
    const half = scales.length * 4;
    const shape = [rows, cols / group];
    const header = {
      'x.weight': { dtype: 'U32', shape: [rows, cols / 4], data_offsets: [0, codes.length] },
      'x.scales': { dtype: 'F32', shape, data_offsets: [codes.length, codes.length + half] },
      'x.biases': { dtype: 'F32', shape, data_offsets: [codes.length + half, codes.length + 2 * half] },
    };
    const path = folder.write('model.safetensors', safetensorsBytes(header, Buffer.concat([codes, numbers])));
    await withCheckpoint(path, async (checkpoint) => {
      const [tensor] = checkpoint.tensors;
      assert.equal(tensor!.dtype, 'MLX8');
      const stored = await valuesOf(tensor!);
      for (const [start, length] of [
        [0, values.length],
        [4 * cols, cols],
      ] as const)
        checkWithin(
          await tensor!.deviation!(start, length),
          distance(stored.subarray(start, start + length), values.subarray(start, start + length)),
          `${length} from ${start}`,
        );
    });
  });

  it('follows from the spacing of the levels of MXFP4', () => {
    const magnitudes = [0, 1, 2, 3, 4, 6, 8, 12];
    const levels = magnitudes.flatMap((level) => [level, -level]);
    const code = (level: number) => (level < 0 ? 8 : 0) + magnitudes.indexOf(Math.abs(level));
    const values = uneven(40, 256);
    let estimated = 0;
    let real = 0;
    for (let at = 0; at < values.length; at += 32) {
      const group = values.subarray(at, at + 32);
      // The smallest power of two that scales the largest value to at most the largest level, 12.
      const scale = 2 ** Math.ceil(Math.log2(Math.max(...group.map(Math.abs)) / 12));
      const block = new Uint8Array(17);
      block[0] = Math.log2(scale) + 128;
      for (const [i, value] of group.entries()) {
        const off = (level: number) => Math.abs(value / scale - level);
        const level = levels.reduce((best, other) => (off(other) < off(best) ? other : best));
        block[1 + (i & 15)]! |= code(level) << (i < 16 ? 0 : 4);
        real += (level * scale - value) ** 2 / 32;
      }
      estimated += BLOCK_VARIANCES.get('MXFP4')!(block, 0);
    }
    checkWithin(Math.sqrt(estimated), Math.sqrt(real), 'MXFP4');
  });
});

describe('the sampled ranges of a tensor', () => {
  it('cover a small tensor, and are bounded, ordered and disjoint within a large one', () => {
    assert.deepEqual(spreadRanges(0), []);
    assert.deepEqual(spreadRanges(1000), [[0, 1000]]);
    for (const total of [3073, 10_000, 10 ** 9]) {
      const ranges = spreadRanges(total);
      assert.ok(ranges.length > 1 && ranges.reduce((sum, [, count]) => sum + count, 0) <= 4096);
      let end = 0;
      for (const [start, count] of ranges) {
        assert.ok(start >= end && start + count <= total, `${start} to ${start + count} of ${total}`);
        end = start + count;
      }
    }
  });
});
