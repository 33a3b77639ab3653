import type { Context } from './context.ts';
import { type GpuMatrix, part, whole } from './gpuMatrix.ts';
import { factorPanel, PANEL, type PlacedReflector, reflectLeft, releaseReflectors } from './reflectors.ts';

/**
 * Blocked Householder QR of an m x n matrix, m >= n (LAPACK's geqrf and, with `makeQ`, orgqr). Returns R as a new n x n
 * matrix; `a` becomes Q or undefined. `step` is called between panels with the share done and may throw to stop.
 */
export async function qr(
  context: Context,
  a: GpuMatrix,
  makeQ: boolean,
  step: (share: number) => void,
): Promise<GpuMatrix> {
  const { r, reflectors } = await factorQr(context, a, makeQ, (share) => step(share * (makeQ ? 0.5 : 1)));
  try {
    if (makeQ) {
      await context.operations.setIdentity(whole(a), r.blocks[0]!.buffer);
      for (const { at, reflector } of [...reflectors].reverse()) {
        step(1 - (at / a.cols) * 0.5);
        // Columns to the left of a panel are still unit vectors, which its reflectors do not change.
        await reflectLeft(context, reflector, part(a, at, at), { transpose: false });
      }
    }
    return r;
  } catch (error) {
    context.release(r);
    throw error;
  } finally {
    releaseReflectors(context, reflectors);
  }
}

/** Returns R as a new n x n matrix and, with `keep`, the reflectors whose product is Q. Destroys `a`. */
export async function factorQr(
  context: Context,
  a: GpuMatrix,
  keep: boolean,
  step: (share: number) => void,
): Promise<{ r: GpuMatrix; reflectors: PlacedReflector[] }> {
  const { rows: m, cols: n } = a;
  const r = context.matrix(n, n);
  for (const { buffer } of r.blocks) context.commands.clear(buffer);
  const reflectors: PlacedReflector[] = [];
  try {
    for (let at = 0; at < n; at += PANEL) {
      step(at / n);
      const w = Math.min(PANEL, n - at);
      const reflector = await factorPanel(context, part(a, at, at, m - at, w), 'columns');
      await context.operations.copy(part(r, at, at, w, w), whole(reflector.r));
      if (at + w < n) {
        await reflectLeft(context, reflector, part(a, at, at + w), { transpose: true });
        await context.operations.copy(part(r, at, at + w, w), part(a, at, at + w, w));
      }
      if (keep) reflectors.push({ at, reflector });
      else releaseReflectors(context, [{ at, reflector }]);
    }
    return { r, reflectors };
  } catch (error) {
    context.release(r);
    releaseReflectors(context, reflectors);
    throw error;
  }
}
