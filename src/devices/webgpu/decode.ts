import { ENCODED_BYTES, type Encoding } from '../../base/encoding.ts';
import type { EntrySums } from '../backend.ts';
import { KERNEL_ENCODING } from '../decoding.ts';
import type { Commands } from './commands.ts';
import { bufferSlices, type GpuMatrix, part } from './gpuMatrix.ts';

/** Numbers per workgroup, as in the kernel. */
const GROUP = 2048;
/** Numbers per dispatch: few enough workgroups for every adapter, and few enough bytes for every binding. */
const MOST = 2 ** 24;

/** Writes the stored bytes of `rows` whole rows from `row` on to the device, which decodes them to f32. */
export async function decodeRows(
  commands: Commands,
  matrix: GpuMatrix,
  row: number,
  rows: number,
  encoding: Encoding,
  bytes: Uint8Array,
): Promise<EntrySums> {
  const size = ENCODED_BYTES[encoding];
  const shares = bufferSlices(part(matrix, row, 0, rows)).flatMap((slice) => split(slice, matrix.cols));
  const groups = shares.reduce((sum, { count }) => sum + Math.ceil(count / GROUP), 0);
  const sums = commands.allocate(2 * groups);
  const kernel = { file: 'decode', constants: { encoding: KERNEL_ENCODING[encoding] } };
  try {
    let first = 0;
    for (const { buffer, from, count, offset } of shares) {
      const stored = bytes.subarray(from * size, (from + count) * size);
      const source = commands.allocate(Math.ceil(stored.length / 4));
      await commands.write(source, 0, wholeWords(stored));
      await commands.dispatch(kernel, [source, buffer, sums], [count, offset, first, 0], [Math.ceil(count / GROUP), 1]);
      commands.release(source);
      first += Math.ceil(count / GROUP);
    }
    return collect(await commands.read(sums, 0, 2 * groups));
  } finally {
    commands.release(sums);
  }
}

/** Ranges of at most `MOST` numbers of a slice; `from` counts from the first row, `offset` from the buffer's start. */
function split({ buffer, row, rows, offset }: ReturnType<typeof bufferSlices>[number], cols: number) {
  const count = rows * cols;
  return Array.from({ length: Math.ceil(count / MOST) }, (_, i) => ({
    buffer,
    from: row * cols + i * MOST,
    count: Math.min(MOST, count - i * MOST),
    offset: offset + i * MOST,
  }));
}

/** The queue takes whole words only: bytes that do not begin and end on a word are copied. */
function wholeWords(bytes: Uint8Array): Float32Array {
  const count = Math.ceil(bytes.length / 4);
  if (bytes.length % 4 === 0 && bytes.byteOffset % 4 === 0)
    return new Float32Array(bytes.buffer, bytes.byteOffset, count);
  const words = new Float32Array(count);
  new Uint8Array(words.buffer).set(bytes);
  return words;
}

function collect(sums: ArrayBuffer): EntrySums {
  const [squares, bits] = [new Float32Array(sums), new Uint32Array(sums)];
  let sum = 0;
  let largest = 0;
  for (let i = 0; i < bits.length; i += 2) {
    sum += squares[i]!;
    largest = Math.max(largest, bits[i + 1]!);
  }
  return {
    squares: sum,
    largest: largest < 0x7f800000 ? new Float32Array(Uint32Array.of(largest).buffer)[0]! : Number.NaN,
  };
}
