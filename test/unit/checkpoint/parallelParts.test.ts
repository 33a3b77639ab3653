import assert from 'node:assert/strict';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import type { Tensor } from '../../../src/checkpoint/tensor.ts';
import { testFolder } from '../formats/folder.ts';
import { withCheckpoint } from '../formats/readAll.ts';
import { rejectsWith } from '../formats/rejectsWith.ts';
import { f32File, type Values } from '../formats/safetensorsBytes.ts';

/** [rows, cols] of a model of width 6, and how Meta splits it: by rows (0), by columns (1), or not at all. */
const LLAMA: Readonly<Record<string, readonly [shape: readonly number[], axis: 0 | 1 | null]>> = {
  'tok_embeddings.weight': [[10, 6], 1],
  'layers.0.attention.wq.weight': [[6, 6], 0],
  'layers.0.attention.wk.weight': [[4, 6], 0],
  'layers.0.attention.wo.weight': [[6, 6], 1],
  'layers.0.feed_forward.w1.weight': [[8, 6], 0],
  'layers.0.feed_forward.w2.weight': [[6, 8], 1],
  'layers.0.attention_norm.weight': [[6], null],
  'norm.weight': [[6], null],
  'output.weight': [[10, 6], 0],
  'rope.freqs': [[1], null],
};

/** The whole model, every value distinct. */
function model(): Map<string, Values> {
  let next = 0;
  return new Map(
    Object.entries(LLAMA).map(([name, [shape]]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return [name, { shape, values: Array.from({ length: count }, () => next++) }];
    }),
  );
}

function sliceOf({ shape, values }: Values, axis: 0 | 1 | null, part: number, parts: number): Values {
  if (axis === null) return { shape, values };
  const [rows = 1, cols = 1] = shape;
  const [height, width] = axis === 0 ? [rows / parts, cols] : [rows, cols / parts];
  const [top, left] = axis === 0 ? [part * height, 0] : [0, part * width];
  const slice = Array.from(
    { length: height * width },
    (_, i) => values[(top + Math.floor(i / width)) * cols + left + (i % width)]!,
  );
  return { shape: [height, width], values: slice };
}

function part(index: number, parts: number): Buffer {
  const slices = [...model()].map(([name, values]) => [name, sliceOf(values, LLAMA[name]![1], index, parts)] as const);
  return f32File(Object.fromEntries(slices));
}

describe('a model in parts for tensor parallelism', () => {
  const folder = testFolder();

  function writeParts(parts: number): void {
    for (let index = 0; index < parts; index++) folder.write(`consolidated.0${index}.safetensors`, part(index, parts));
  }

  async function assertWhole(tensors: readonly Tensor[]): Promise<void> {
    const expected = model();
    assert.deepEqual(tensors.map(({ name }) => name).sort(), [...expected.keys()].sort());
    for (const tensor of tensors) {
      const { shape, values } = expected.get(tensor.name)!;
      assert.deepEqual(tensor.shape, shape, tensor.name);
      // Every range, so that reading starts and ends within rows and within slices.
      for (let start = 0; start < values.length; start++)
        for (const end of [start + 1, Math.min(start + 7, values.length), values.length]) {
          const out = new Float32Array(end - start);
          await tensor.read(start, out);
          assert.deepEqual([...out], values.slice(start, end), `${tensor.name} from ${start} to ${end}`);
        }
      const stored = await tensor.readStored!(4, new Uint8Array(tensor.bytes - 4));
      assert.deepEqual([...new Float32Array(stored.slice().buffer)], values.slice(1), tensor.name);
    }
  }

  for (const named of ['folder', 'part'])
    it(`is opened whole by its ${named}, with the width from params.json or from a norm`, async () => {
      for (const configured of [false, true]) {
        writeParts(2);
        if (configured) folder.write('params.json', JSON.stringify({ dim: 6, n_layers: 1 }));
        const path = named === 'folder' ? folder.path() : folder.path('consolidated.01.safetensors');
        await withCheckpoint(path, async ({ tensors, warnings }) => {
          await assertWhole(tensors);
          assert.match(warnings.join('\n'), /Joined from 2 parts/);
        });
      }
    });

  it('is refused when a part is missing', async () => {
    folder.write('consolidated.00.safetensors', part(0, 3));
    folder.write('consolidated.02.safetensors', part(2, 3));
    await rejectsWith(openCheckpoint(folder.path()), 'malformed', /2 of the 3 or more parts/, /download the missing/);
  });

  it('is refused when its parts do not belong together', async () => {
    folder.write('consolidated.00.safetensors', part(0, 2));
    folder.write('consolidated.01.safetensors', part(0, 1));
    await rejectsWith(
      openCheckpoint(folder.path()),
      'malformed',
      /its slice of .* has the shape/,
      /do not belong together/,
    );
  });

  it('leaves out and names tensors whose split is not known', async () => {
    for (const index of [0, 1])
      folder.write(
        `consolidated.0${index}.safetensors`,
        f32File({
          odd: { shape: [2, 5], values: Array(10).fill(index) },
          'norm.weight': { shape: [6], values: Array(6).fill(1) },
        }),
      );
    await withCheckpoint(folder.path(), ({ tensors, warnings }) => {
      assert.deepEqual(
        tensors.map(({ name }) => name),
        ['norm.weight'],
      );
      assert.match(warnings.join('\n'), /1 tensors are left out.*\(odd\)/);
    });
  });

  it('in one part is opened as the file it is', async () => {
    folder.write('consolidated.00.safetensors', part(0, 1));
    await withCheckpoint(folder.path(), ({ warnings }) => assert.deepEqual(warnings, []));
  });
});
