import type { Context } from './context.ts';
import { type GpuMatrix, part, whole } from './gpuMatrix.ts';
import { type BlockReflector, factorPanel, PANEL, reflectLeft } from './reflectors.ts';

/**
 * Blocked Householder QR of an m x n matrix, m >= n (LAPACK's geqrf and, with `makeQ`, orgqr): R as a new n x n matrix, `a` becomes Q
 * or anything. `step` is called between panels with the share done and may throw to stop.
 */
export async function qr(
  context: Context,
  a: GpuMatrix,
  makeQ: boolean,
  step: (share: number) => void,
): Promise<GpuMatrix> {
  const { rows: m, cols: n } = a;
  const r = context.matrix(n, n);
  for (const { buffer } of r.blocks) context.commands.clear(buffer);
  const reflectors: { at: number; reflector: BlockReflector }[] = [];
  try {
    for (let at = 0; at < n; at += PANEL) {
      step((at / n) * (makeQ ? 0.5 : 1));
      const w = Math.min(PANEL, n - at);
      const reflector = await factorPanel(context, part(a, at, at, m - at, w), 'columns');
      await context.operations.copy(part(r, at, at, w, w), whole(reflector.r));
      if (at + w < n) {
        await reflectLeft(context, reflector, part(a, at, at + w), {
          transpose: true,
        });
        await context.operations.copy(part(r, at, at + w, w), part(a, at, at + w, w));
      }
      if (makeQ) reflectors.push({ at, reflector });
      else release(context, reflector);
    }
    if (makeQ) {
      await context.operations.setIdentity(whole(a), r.blocks[0]!.buffer);
      for (const { at, reflector } of reflectors.reverse()) {
        step(1 - (at / n) * 0.5);
        await reflectLeft(context, reflector, part(a, at, at), {
          transpose: false,
        });
      }
    }
    return r;
  } catch (error) {
    context.release(r);
    throw error;
  } finally {
    for (const { reflector } of reflectors) release(context, reflector);
  }
}

function release(context: Context, { v, t, r }: BlockReflector): void {
  context.release(v, t, r);
}
