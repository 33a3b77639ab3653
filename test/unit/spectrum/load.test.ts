import assert from 'node:assert/strict';
import { decodeFloats, ENCODED_BYTES, type Encoding } from '../../../src/base/encoding.ts';
import { seededRandom } from '../../../src/base/random.ts';
import type { Backend, RowSource } from '../../../src/devices/backend.ts';
import { createReferenceBackend } from '../../../src/devices/reference/backend.ts';
import { exactSpectrum } from '../../../src/spectrum/exact.ts';
import { loadScaled, uploadRows } from '../../../src/spectrum/load.ts';

/** More rows than a step of either kind. */
const [ROWS, COLS] = [2600, 2048];

describe('loading a matrix whose rows a device decodes', function () {
  this.timeout(60_000);

  for (const encoding of ['F32', 'BF16', 'F8_E4M3'] as const) {
    it(`uploads ${encoding} with the content and statistics of its values`, async () => {
      const bytes = ordinary(encoding, ROWS * COLS);
      const stored = await loaded(sourceOf(encoding, bytes, ROWS, COLS));
      const plain = await loaded({ ...sourceOf(encoding, bytes, ROWS, COLS), stored: undefined });
      assert.deepEqual(stored.content, plain.content);
      const [found, right] = [stored.entries, plain.entries];
      assert.ok(Math.abs(found.frobeniusNorm / right.frobeniusNorm - 1) < 1e-12);
      // The same entries are sampled.
      assert.deepEqual({ ...found, frobeniusNorm: 0 }, { ...right, frobeniusNorm: 0 });
    });
  }

  it('reads only stored bytes if these suffice', async () => {
    const source = sourceOf('BF16', ordinary('BF16', 60), 6, 10);
    const never = async () => assert.fail('decoded values were read');
    const { entries } = await loaded({ ...source, read: never });
    assert.equal(entries.count, 60);
  });

  for (const bad of [0x7fc0, 0x7f80, 0xff80]) {
    it(`rejects the code ${bad.toString(16)} with the position of the entry`, async () => {
      const bytes = ordinary('BF16', 60 * 7);
      new Uint16Array(bytes.buffer)[41 * 7 + 3] = bad;
      await assert.rejects(loaded(sourceOf('BF16', bytes, 60, 7)), {
        code: 'not-finite',
        subject: 'weights',
        found: /entry \[41, 3\] is (NaN|-?Infinity)/,
      });
    });
  }

  for (const exponent of [-100, -40, 60, 110]) {
    it(`scales a matrix of magnitude 2^${exponent}`, async () => {
      const values = ordinaryValues(40 * 9).map((value) => value * 2 ** exponent);
      const source = sourceOf('F32', new Uint8Array(values.buffer), 40, 9);
      const { content, entries, scale } = await loaded(source);
      assert.ok(content.every((value, i) => value === values[i]! * scale));
      assert.ok(Math.abs(entries.maximum * scale - 1) <= 1);
      const backend = createReferenceBackend();
      const { singularValues } = await exactSpectrum(backend, source);
      const norm = Math.hypot(...singularValues);
      assert.ok(Math.abs(norm / entries.frobeniusNorm - 1) < 1e-6, `${norm}, ${entries.frobeniusNorm}`);
    });
  }

  it('scans rows once, however often and in whatever steps they are read', async () => {
    const bytes = ordinary('F16', 50 * 8);
    const source = sourceOf('F16', bytes, 50, 8);
    const backend = createReferenceBackend();
    const matrix = await backend.allocate(50, 8);
    const { entries } = await loadScaled(source, undefined, async (rows) => {
      for (const [from, count] of [
        [0, 20],
        [0, 10],
        [10, 25],
        [35, 15],
        [0, 50],
      ] as const)
        await uploadRows(backend, rows, from, count, matrix, from);
    });
    const values = new Float32Array(400);
    decodeFloats('F16', bytes, values);
    assert.deepEqual(await backend.download(matrix), values);
    assert.equal(entries.count, 400);
    assert.ok(Math.abs(entries.frobeniusNorm / Math.hypot(...values) - 1) < 1e-12);
  });

  it('stops when it is cancelled', async () => {
    const controller = new AbortController();
    const source = sourceOf('BF16', ordinary('BF16', ROWS * COLS), ROWS, COLS);
    let reads = 0;
    const read = async (_row: number, out: Uint8Array) => {
      reads++;
      out.fill(0);
      controller.abort();
    };
    await assert.rejects(loaded({ ...source, stored: { encoding: 'BF16', read } }, controller.signal), {
      code: 'cancelled',
    });
    assert.equal(reads, 1);
  });
});

async function loaded(source: RowSource, signal?: AbortSignal) {
  const backend: Backend = createReferenceBackend();
  const { rows, cols } = source;
  const matrix = await backend.allocate(rows, cols);
  const { entries, scale } = await loadScaled(source, signal, (scaled) =>
    uploadRows(backend, scaled, 0, rows, matrix, 0),
  );
  return { content: await backend.download(matrix), entries, scale };
}

function sourceOf(encoding: Encoding, bytes: Uint8Array, rows: number, cols: number): RowSource {
  const size = ENCODED_BYTES[encoding];
  const slice = (row: number, count: number) => bytes.subarray(row * cols * size, (row * cols + count) * size);
  return {
    name: 'weights',
    rows,
    cols,
    read: async (row, out) => decodeFloats(encoding, slice(row, out.length), out),
    stored: { encoding, read: async (row, out) => out.set(slice(row, out.length / size)) },
  };
}

function ordinaryValues(count: number): Float32Array {
  const { normal } = seededRandom(count);
  return Float32Array.from({ length: count }, () => 0.05 * normal());
}

/** The upper halves of f32 numbers are BF16 codes; bytes below 0x70 are finite codes of the other types. */
function ordinary(encoding: Encoding, count: number): Uint8Array {
  const values = ordinaryValues(count);
  if (encoding === 'F32') return new Uint8Array(values.buffer);
  const bits = new Uint32Array(values.buffer);
  if (encoding === 'BF16') return new Uint8Array(Uint16Array.from(bits, (code) => code >>> 16).buffer);
  return Uint8Array.from(
    { length: count * ENCODED_BYTES[encoding] },
    (_, i) => ((bits[i % count]! >>> 7) & 0xff) % 0x70,
  );
}
