import type { Bidiagonal } from '../cpu/routines/bidiagonal.ts';
import type { KeptReflectors } from './chaseBack.ts';
import type { Context } from './context.ts';
import { PANEL } from './reflectors.ts';

/** Steps that a sweep stays behind the one before it: fewer, and their rows and columns would overlap (kernels/chase.wgsl). */
const BEHIND = 3;
/** Operations of one step: two reflectors of PANEL numbers, each applied to 2 PANEL rows or columns. */
const STEP_WORK = 16 * PANEL ** 2;
/** Ticks between two looks at the signal. */
const TICKS = 64;

/** Numbers that the band of n rows takes, with the room that bulges need: kernels/chase.wgsl says where each is. */
export const bandRoom = (n: number): number => (n + PANEL) * 3 * PANEL;

/**
 * Band to bidiagonal form by chasing bulges in a wavefront (Haidar, Ltaief, Luszczek, Dongarra 2012; on GPUs arXiv 2510.12705): with tick
 * tau, every sweep s under way does its step tau - 3 s, all of them in one dispatch. Its 3 n dispatches of up to n / (3 PANEL) workgroups
 * take a few microseconds each, so what they cost grows with n only, where the products before them grow with n^3: narrowing the band
 * in several steps first (Bischof, Lang, Sun 2000) would add dispatches and save none.
 * @param kept where the reflectors go that bring vectors back; none are kept without
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

/** The sweeps that have a step to do: those that began, and have not chased their bulge over the edge, s + 1 + (tick - 3 s) PANEL < n. */
function sweepsAt(tick: number, n: number): { first: number; end: number } {
  return {
    first: Math.max(0, Math.floor((tick * PANEL + 1 - n) / (BEHIND * PANEL - 1)) + 1),
    end: Math.min(n - 2, Math.floor(tick / BEHIND) + 1),
  };
}
