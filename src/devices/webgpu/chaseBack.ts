import type { Context } from './context.ts';
import type { GpuMatrix } from './gpuMatrix.ts';
import { PANEL } from './reflectors.ts';

/** Sweeps that a dispatch of kernels/chaseBack.wgsl applies, and columns per workgroup. */
const GROUP = 16;
const COLUMNS = 64;

/** The reflectors of all sweeps of a chase, with as many sweeps per buffer as fit in a binding. */
export interface KeptReflectors {
  readonly n: number;
  readonly chunks: readonly Chunk[];
}

interface Chunk {
  /** Sweeps `first` .. `end` - 1. */
  readonly first: number;
  readonly end: number;
  /** Number of the first reflector in the buffer. */
  readonly firstReflector: number;
  readonly buffer: GPUBuffer;
}

/** Allocates the reflectors of a band of n rows: n^2 numbers for both sides together. */
export function allocateReflectors(context: Context, n: number): KeptReflectors {
  const chunks: Chunk[] = [];
  const reflectors = (first: number, end: number) => reflectorsFrom(n - 1 - first) - reflectorsFrom(n - 1 - end);
  const floats = (first: number, end: number) => 2 * PANEL * reflectors(first, end);
  for (let first = 0; first < n - 2; ) {
    let end = Math.min(first + GROUP, n - 2);
    while (end < n - 2 && floats(first, end + GROUP) * 4 <= context.bindingBytes) end = Math.min(end + GROUP, n - 2);
    const buffer = context.buffer(floats(first, end), `the reflectors of a matrix of ${n} columns`);
    chunks.push({ first, end, firstReflector: reflectorsFrom(n - 1 - end), buffer });
    first = end;
  }
  return { n, chunks };
}

/**
 * Reflectors of the last `sweeps` sweeps, including a final one that does nothing: sum over i < sweeps of floor(i /
 * PANEL) + 1.
 */
function reflectorsFrom(sweeps: number): number {
  const whole = Math.floor(sweeps / PANEL);
  return ((whole * (whole + 1)) / 2) * PANEL + (sweeps % PANEL) * (whole + 1);
}

/**
 * Takes vectors of the bidiagonal matrix back to the band: C <- H_1 H_2 ... C on the first n rows of `c`, a single
 * buffer.
 */
export async function applyChase(
  { commands }: Context,
  { n, chunks }: KeptReflectors,
  side: 'left' | 'right',
  c: GpuMatrix,
  step: (share: number) => void,
): Promise<void> {
  const strips = Math.ceil(c.cols / COLUMNS);
  for (const { first, end, firstReflector, buffer } of [...chunks].reverse()) {
    const apply = await commands.bind({ file: 'chaseBack' }, [c.blocks[0]!.buffer, buffer]);
    const groups = Math.ceil((end - first) / GROUP);
    for (let group = groups - 1; group >= 0; group--) {
      const from = first + group * GROUP;
      step(1 - (from / n) ** 2);
      const sweeps = Math.min(GROUP, end - from);
      const steps = Math.floor((n - 2 - from) / PANEL) + 1;
      await apply(
        [n, c.cols, from, sweeps, steps, firstReflector, side === 'left' ? 1 : 0],
        [strips, 1],
        steps * sweeps * 4 * PANEL * COLUMNS * strips,
      );
    }
  }
}
