import { ENCODED_BYTES, type Encoding } from '../../../base/encoding.ts';
import type { EntrySums } from '../../backend.ts';
import type { Kernels } from '../kernels.ts';
import { ranges, type Team } from '../team.ts';

/** The encodings' numbers in `kernels/decode.ts`. */
const NUMBERS: Readonly<Record<Encoding, number>> = { F32: 0, BF16: 1, F16: 2, F8_E4M3: 3, F8_E5M2: 4 };
/** Numbers of one task: about 0.1 ms at memory speed. */
const TASK = 2 ** 18;
/** Two f64 that each task leaves behind. */
const SUMS_BYTES = 16;

export interface DecodeArgs {
  readonly encoding: Encoding;
  readonly count: number;
  /** Address of the stored numbers; for F32 they lie at `out` already. */
  readonly source: number;
  readonly out: number;
  /** Where the tasks' sums go: `decodeRoom(count)` bytes. */
  readonly room: number;
}

export const decodeRoom = (count: number): number => Math.ceil(count / TASK) * SUMS_BYTES;

/** Decodes all numbers, the tasks dealt to all threads. */
export function decode(team: Team, args: DecodeArgs): void {
  team.perform(tasks(team.kernels, args));
}

/** The same by the thread that calls. */
export function decodeHere(kernels: Kernels, args: DecodeArgs): void {
  for (const task of tasks(kernels, args)) task();
}

/** The tasks' sums in their order, so that they are the same on any number of threads. */
export function collectSums(memory: WebAssembly.Memory, { count, room }: DecodeArgs): EntrySums {
  const each = new Float64Array(memory.buffer, room, decodeRoom(count) / 8);
  let squares = 0;
  let largest = 0;
  for (let i = 0; i < each.length; i += 2) {
    squares += each[i]!;
    largest = Math.max(largest, each[i + 1]!);
  }
  return { squares, largest };
}

function tasks(kernels: Kernels, { encoding, count, source, out, room }: DecodeArgs): (() => void)[] {
  const bytes = ENCODED_BYTES[encoding];
  return ranges(count, TASK).map(({ from, to }, i) => () => {
    kernels.decode(NUMBERS[encoding], to - from, source + from * bytes, out + from * 4, room + i * SUMS_BYTES);
  });
}
