import type { Bidiagonal } from '../cpu/routines/bidiagonal.ts';
import type { KeptReflectors } from './chaseBack.ts';
import type { Context } from './context.ts';
import { PANEL } from './reflectors.ts';

/**
 * Steps by which a sweep stays behind the one before it. With fewer, their rows and columns would overlap
 * (kernels/chase.wgsl).
 */
const BEHIND = 3;
/** Operations per step: two reflectors of PANEL numbers, each applied to 2 PANEL rows or columns. */
const STEP_WORK = 16 * PANEL ** 2;
/** Ticks between two checks of the signal. */
const TICKS = 64;

/** Numbers in the storage of a band of n rows, with room for the bulges; kernels/chase.wgsl has the layout. */
export const bandRoom = (n: number): number => (n + PANEL) * 3 * PANEL;

/**
 * Reduces a band to bidiagonal form by chasing bulges in a wavefront (Haidar, Ltaief, Luszczek, Dongarra 2012; on GPUs
 * arXiv 2510.12705): at tick tau, one dispatch performs step tau - 3 s of every active sweep s. The 3 n dispatches of
 * up to n / (3 PANEL) workgroups take a few microseconds each, so that their cost is linear in n where that of the
 * products before is cubic. Narrowing the band in several steps first (Bischof, Lang, Sun 2000) would only add
 * dispatches.
 * @param kept receives the reflectors that take vectors back, if given
 */
export async function chaseBulges(
  context: Context,
  band: GPUBuffer,
  n: number,
  step: (share: number) => void,
  kept?: KeptReflectors,
): Promise<Bidiagonal> {
  const { commands } = context;
  const nowhere = commands.allocate(1);
  const diagonals = commands.allocate(2 * n);
  try {
    const targets = kept?.chunks ?? [{ first: 0, end: n, firstReflector: 0, buffer: nowhere }];
    const kernel = { file: 'chase', constants: { keep: Number(kept !== undefined) } };
    const calls = await Promise.all(targets.map(({ buffer }) => commands.bind(kernel, [band, buffer])));
    for (let tick = 0; tick <= BEHIND * (n - 3); tick++) {
      if (tick % TICKS === 0) step(1 - (1 - tick / (BEHIND * n)) ** 2);
      const sweeps = sweepsAt(tick, n);
      for (const [i, chunk] of targets.entries()) {
        const first = Math.max(sweeps.first, chunk.first);
        const count = Math.min(sweeps.end, chunk.end) - first;
        if (count > 0) await calls[i]!([n, tick, first, chunk.firstReflector], [count, 1], count * STEP_WORK);
      }
    }
    await commands.dispatch({ file: 'diagonals' }, [band, diagonals], [n], [Math.ceil(n / 256), 1]);
    const found = Float64Array.from(new Float32Array(await commands.read(diagonals, 0, 2 * n)));
    return { diagonal: found.subarray(0, n), superdiagonal: found.subarray(n, 2 * n - 1) };
  } finally {
    commands.release(nowhere, diagonals);
  }
}

/**
 * The active sweeps: those that have begun and whose bulge is not yet past the edge, s + 1 + (tick - 3 s) PANEL < n.
 */
function sweepsAt(tick: number, n: number): { first: number; end: number } {
  return {
    first: Math.max(0, Math.floor((tick * PANEL + 1 - n) / (BEHIND * PANEL - 1)) + 1),
    end: Math.min(n - 2, Math.floor(tick / BEHIND) + 1),
  };
}
