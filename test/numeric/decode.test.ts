import assert from 'node:assert/strict';
import { decodeFloats, ENCODED_BYTES, type Encoding } from '../../src/base/encoding.ts';
import { seededRandom } from '../../src/base/random.ts';
import type { Backend, EntrySums, Matrix } from '../../src/devices/backend.ts';
import { openWebgpu } from '../../src/devices/webgpu/open.ts';
import { BACKENDS } from './backends.ts';
import { taken } from './device.ts';

const ENCODINGS = Object.keys(ENCODED_BYTES) as Encoding[];
/** Relative error of a sum of squares on a GPU; see `EntrySums`. */
const SQUARES_TOLERANCE = 1e-6;

for (const { name, open } of BACKENDS) {
  describe(`decoding on ${name}`, function () {
    this.timeout(120_000);
    let backend: Backend;
    before(async () => {
      backend = await open();
    });
    after(() => backend.close());

    for (const encoding of ENCODINGS) {
      it(`decodes every ${encoding} code to the right f32, bit for bit`, async () => {
        const bytes = everyCode(encoding);
        const { values, sums } = await decoded(encoding, bytes, 256);
        assertSameBits(values, expected(encoding, bytes));
        // Each of these types has a NaN.
        assert.ok(Number.isNaN(sums.largest));
      });

      it(`decodes ${encoding} in odd counts, odd rows and every part of a matrix`, async () => {
        const [rows, cols] = [23, 37];
        const bytes = randomBytes(encoding, rows * cols);
        const matrix = await backend.allocate(rows, cols);
        for (const [row, count] of [
          [5, 1],
          [0, 5],
          [6, 17],
        ] as const) {
          const from = row * cols * ENCODED_BYTES[encoding];
          const part = bytes.subarray(from, from + count * cols * ENCODED_BYTES[encoding]);
          await backend.uploadStored(matrix, row, count, encoding, async (out) => {
            assert.equal(out.length, part.length);
            out.set(part);
          });
        }
        assertSameBits(await taken(backend, matrix), expected(encoding, bytes));
      });

      it(`sums the entries of ${encoding}`, async () => {
        // More numbers than a task of any device, and not a multiple of any block.
        const [rows, cols] = [311, 1877];
        const bytes = randomBytes(encoding, rows * cols);
        const { values, sums } = await decoded(encoding, bytes, cols);
        let squares = 0;
        let largest = 0;
        for (const value of values) {
          squares += value * value;
          largest = Math.max(largest, Math.abs(value));
        }
        assert.ok(Math.abs(sums.squares - squares) <= SQUARES_TOLERANCE * squares, `${sums.squares}, not ${squares}`);
        assert.equal(sums.largest, largest);
      });
    }

    it('reports a single NaN or infinity among many numbers', async () => {
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const entries = new Float32Array(100 * 700).fill(0.5);
        entries[54_321] = bad;
        const { sums } = await decoded('F32', new Uint8Array(entries.buffer), 700);
        assert.ok(Number.isNaN(sums.largest));
      }
    });

    it('passes on a failed or cancelled read and stays usable', async () => {
      const matrix = await backend.allocate(300, 400);
      for (let i = 0; i < 3; i++) {
        const failing = backend.uploadStored(matrix, 0, 300, 'BF16', async (out) => {
          out.fill(1);
          throw new Error('the disk is gone');
        });
        await assert.rejects(failing, /the disk is gone/);
      }
      const { largest } = await backend.uploadStored(matrix, 0, 300, 'BF16', (out) => void out.fill(0));
      assert.equal(largest, 0);
      assert.ok((await taken(backend, matrix)).every((value) => value === 0));
    });

    async function decoded(encoding: Encoding, bytes: Uint8Array, cols: number) {
      const rows = bytes.length / ENCODED_BYTES[encoding] / cols;
      const matrix: Matrix = await backend.allocate(rows, cols);
      const sums: EntrySums = await backend.uploadStored(matrix, 0, rows, encoding, (out) => out.set(bytes));
      return { values: await taken(backend, matrix), sums };
    }
  });
}

if (BACKENDS.some(({ name }) => name === 'webgpu')) {
  describe('decoding on webgpu over several buffers', function () {
    this.timeout(120_000);

    for (const encoding of ENCODINGS) {
      it(`decodes ${encoding} in parts that end within a word and within a buffer`, async () => {
        const [rows, cols] = [41, 37];
        // Five rows per buffer, so that most buffers begin at an odd byte.
        const backend = await openWebgpu({ threads: 1, software: true, bindingBytes: 5 * 4 * cols });
        const bytes = randomBytes(encoding, rows * cols);
        const matrix = await backend.allocate(rows, cols);
        let squares = 0;
        for (const [row, count] of [
          [3, 20],
          [0, 3],
          [23, 18],
        ] as const) {
          const from = row * cols * ENCODED_BYTES[encoding];
          const sums = await backend.uploadStored(matrix, row, count, encoding, (out) =>
            out.set(bytes.subarray(from, from + out.length)),
          );
          squares += sums.squares;
        }
        const right = expected(encoding, bytes);
        assertSameBits(await taken(backend, matrix), right);
        const sum = right.reduce((total, value) => total + value * value, 0);
        assert.ok(Math.abs(squares - sum) <= SQUARES_TOLERANCE * sum);
        await backend.close();
      });
    }
  });
}

/** All codes of 8 or 16 bits; for F32 some of every exponent, including subnormals, infinities and NaNs. */
function everyCode(encoding: Encoding): Uint8Array {
  if (ENCODED_BYTES[encoding] === 1) return Uint8Array.from({ length: 256 }, (_, code) => code);
  if (ENCODED_BYTES[encoding] === 2) return bytesOf(Uint16Array.from({ length: 65536 }, (_, code) => code));
  return bytesOf(Uint32Array.from({ length: 65536 }, (_, high) => high * 65536 + ((high * 40503) & 0xffff)));
}

/** Finite numbers of magnitudes as in a trained matrix. */
function randomBytes(encoding: Encoding, count: number): Uint8Array {
  const { uniform } = seededRandom(count);
  const size = ENCODED_BYTES[encoding];
  const bytes = Uint8Array.from({ length: count * size }, () => Math.floor(256 * uniform()));
  // The last byte holds sign and exponent: magnitudes from 2^-8 to about 1 in each of these types.
  const top = { F32: 0x3b, BF16: 0x3b, F16: 0x1c, F8_E4M3: 0x10, F8_E5M2: 0x1c }[encoding];
  for (let i = size - 1; i < bytes.length; i += size) bytes[i] = (bytes[i]! & 0x83) | top;
  return bytes;
}

function expected(encoding: Encoding, bytes: Uint8Array): Float32Array {
  const out = new Float32Array(bytes.length / ENCODED_BYTES[encoding]);
  decodeFloats(encoding, bytes, out);
  return out;
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Distinguishes minus zero and subnormals, but not NaN payloads. */
function assertSameBits(found: Float32Array, right: Float32Array): void {
  assert.equal(found.length, right.length);
  for (const [i, value] of right.entries()) {
    if (!Object.is(found[i], value)) assert.fail(`number ${i} is ${found[i]}, not ${value}`);
  }
}
