import type { Context } from './context.ts';
import { type GpuMatrix, part, type View, whole } from './gpuMatrix.ts';

/** Columns of a panel: the most that the panel kernel supports. */
export const PANEL = 32;

/** How much longer work takes on one workgroup than spread over the device. */
const PANEL_SHARE = 16;

/**
 * The block reflector I - V T V^T of a panel (Schreiber and Van Loan 1989), and the triangle R that the panel became.
 */
export interface BlockReflector {
  /** w x m: V by columns, each of them contiguous. */
  readonly v: GpuMatrix;
  /** w x w, upper triangular. */
  readonly t: GpuMatrix;
  /** w x w, upper triangular. */
  readonly r: GpuMatrix;
}

/** A block reflector that acts on the rows from `at` on. */
export interface PlacedReflector {
  readonly at: number;
  readonly reflector: BlockReflector;
}

/**
 * Factors a panel by Householder reflectors. With 'columns', the view is the m x w panel; with 'rows', it is the
 * transpose of the panel, w x m, and this is its LQ.
 */
export async function factorPanel(context: Context, panel: View, side: 'columns' | 'rows'): Promise<BlockReflector> {
  const [m, w] = side === 'columns' ? [panel.rows, panel.columns] : [panel.columns, panel.rows];
  const v = context.single(w, m);
  const r = context.matrix(w, w);
  const t = context.matrix(w, w);
  const gram = context.matrix(w, w);
  const tau = context.matrix(1, w);
  const buffer = ({ blocks }: GpuMatrix) => blocks[0]!.buffer;
  await context.operations.copy(whole(v), panel, {
    transposed: side === 'columns',
  });
  const work = PANEL_SHARE * 4 * m * w * w;
  await context.commands.dispatch({ file: 'panelQr' }, [buffer(v), buffer(r), buffer(tau)], [m, w, 0, 0], [1, 1], work);
  await context.operations.multiply(whole(gram), whole(v), whole(v), {
    transposeB: true,
  });
  await context.commands.dispatch(
    { file: 'blockReflector' },
    [buffer(gram), buffer(tau), buffer(t)],
    [w, 0, 0, 0],
    [1, 1],
  );
  context.release(gram, tau);
  return { v, t, r };
}

/** target <- (I - V T V^T) target; with `transpose`, target <- (I - V T^T V^T) target. */
export async function reflectLeft(
  context: Context,
  { v, t }: BlockReflector,
  target: View,
  { transpose }: { transpose: boolean },
): Promise<void> {
  const z = context.matrix(v.rows, target.columns);
  const w = context.matrix(v.rows, target.columns);
  await context.operations.multiply(whole(z), whole(v), target);
  await context.operations.multiply(whole(w), whole(t), whole(z), {
    transposeA: transpose,
  });
  await context.operations.multiply(target, whole(v), whole(w), {
    transposeA: true,
    alpha: -1,
    beta: 1,
  });
  context.release(z, w);
}

/** target <- Q target, where Q is the product of all reflectors in their order. */
export async function reflectAll(
  context: Context,
  reflectors: readonly PlacedReflector[],
  target: GpuMatrix,
  step: (share: number) => void,
): Promise<void> {
  for (const [i, { at, reflector }] of [...reflectors].reverse().entries()) {
    step(i / reflectors.length);
    // The reflectors of the band end with the triangle, however tall the target is.
    await reflectLeft(context, reflector, part(target, at, 0, reflector.v.cols), { transpose: false });
  }
}

export function releaseReflectors(context: Context, reflectors: readonly PlacedReflector[]): void {
  for (const { v, t, r } of reflectors.map(({ reflector }) => reflector)) context.release(v, t, r);
}
