import { ENCODED_BYTES, type Encoding } from '../../../base/encoding.ts';
import type { EntrySums } from '../../backend.ts';
import { KERNEL_ENCODING } from '../../decoding.ts';
import type { Kernels } from '../kernels.ts';
import { ranges, type Team } from '../team.ts';

/** Numbers per task: about 0.1 ms at memory speed. */
const TASK = 2 ** 18;
/** Each task leaves two f64. */
const SUMS_BYTES = 16;

export interface DecodeArgs {
  readonly encoding: Encoding;
  readonly count: number;
  /** Address of the stored numbers; those of F32 are already at `out`. */
  readonly source: number;
  readonly out: number;
  /** `decodeRoom(count)` bytes for the sums of the tasks. */
  readonly room: number;
}

/** Bytes of workspace that decoding `count` numbers takes. */
export const decodeRoom = (count: number): number => Math.ceil(count / TASK) * SUMS_BYTES;

/** Decodes on all threads. */
export function decode(team: Team, args: DecodeArgs): void {
  team.perform(tasks(team.kernels, args));
}

/** Decodes on the calling thread. */
export function decodeHere(kernels: Kernels, args: DecodeArgs): void {
  for (const task of tasks(kernels, args)) task();
}

/** Adds up the sums of the tasks in task order, so that the result does not depend on the number of threads. */
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
    kernels.decode(KERNEL_ENCODING[encoding], to - from, source + from * bytes, out + from * 4, room + i * SUMS_BYTES);
  });
}
