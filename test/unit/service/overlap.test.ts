import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { seededRandom } from '../../../src/base/random.ts';
import { descriptionOf, type Tensor } from '../../../src/checkpoint/tensor.ts';
import { isStored, type Matrix } from '../../../src/model/matrix.ts';
import { StoredMatrix } from '../../../src/model/storedMatrix.ts';
import type { AnalysisProgress } from '../../../src/protocol/service.ts';
import { AnalysisRun } from '../../../src/service/analysis/analyze.ts';
import { noCache } from '../../../src/service/cache/cache.ts';
import { OpenCheckpoints } from '../../../src/service/checkpoints/opened.ts';
import { Devices } from '../../../src/service/devices/devices.ts';
import { testFolder } from '../formats/folder.ts';
import { safetensorsBytes } from '../formats/safetensorsBytes.ts';

const SIZE = 600;
const COUNT = 4;

describe('an analysis', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const devices = new Devices(() => undefined);
  const checkpoints = new OpenCheckpoints();
  after(() => Promise.all([devices.close(), checkpoints.close()]));

  for (const [dtype, bytes] of [
    ['BF16', 2],
    ['F32', 4],
    // Decoded by the reader, into f32.
    ['F64', 8],
  ] as const) {
    it(`reads the next matrix in ${dtype} while it computes one`, async () => {
      const events: string[] = [];
      const progress = ({ finding }: AnalysisProgress) => finding && events.push(`found ${finding.name}`);
      await checkpoints.use(writeCheckpoint(dtype, bytes), undefined, async (opened) => {
        const watch = (matrix: Matrix) => watching(matrix, (name) => events.push(`read ${name}`));
        const watched = { ...opened, anatomy: { ...opened.anatomy, matrices: opened.anatomy.matrices.map(watch) } };
        const request = { path: opened.checkpoint.path, engine: 'cpu', threads: 1 };
        await new AnalysisRun({ devices, cache: noCache }, watched, request, { progress }).run();
      });
      const expected = Array.from({ length: COUNT }, (_, i) => [
        ...(i === 0 ? [`read ${nameOf(0)}`] : []),
        ...(i + 1 < COUNT ? [`read ${nameOf(i + 1)}`] : []),
        `found ${nameOf(i)}`,
      ]);
      assert.deepEqual(events, expected.flat());
    });
  }

  /** Matrices of positive numbers. */
  function writeCheckpoint(dtype: string, size: number): string {
    const file = folder.path('model.safetensors');
    const length = SIZE * SIZE * size;
    const { uniform } = seededRandom(size);
    const data = Uint8Array.from({ length: COUNT * length }, (_, i) =>
      // Sign and exponent are in the last byte: numbers of about 1.
      i % size === size - 1 ? 0x3f : Math.floor(256 * uniform()),
    );
    const header = Object.fromEntries(
      Array.from({ length: COUNT }, (_, i) => [
        nameOf(i),
        { dtype, shape: [SIZE, SIZE], data_offsets: [i * length, (i + 1) * length] },
      ]),
    );
    writeFileSync(file, safetensorsBytes(header, Buffer.from(data)));
    return file;
  }
});

const nameOf = (layer: number) => `layers.${layer}.w.weight`;

/** The same matrix, and a call when its tensor begins to be read: how long that takes is up to the machine. */
function watching(matrix: Matrix, onBegin: (name: string) => void): Matrix {
  assert.ok(isStored(matrix));
  const { tensor, layout, fixed } = matrix;
  const watched: Tensor = {
    ...descriptionOf(tensor),
    read(start, out, signal) {
      if (start === 0) onBegin(tensor.name);
      return tensor.read(start, out, signal);
    },
    ...(tensor.readStored && {
      readStored(offset, out, signal) {
        if (offset === 0) onBegin(tensor.name);
        return tensor.readStored!(offset, out, signal);
      },
    }),
  };
  return new StoredMatrix(watched, layout, matrix, fixed);
}
