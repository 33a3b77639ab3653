import { bandRoom } from './chase.ts';
import type { Context } from './context.ts';
import { type GpuMatrix, part, type View, whole } from './gpuMatrix.ts';
import { factorPanel, PANEL, type PlacedReflector, releaseReflectors } from './reflectors.ts';

/** A band in the storage of kernels/chase.wgsl, and the reflectors of the panels that produced it. */
export interface Band {
  readonly band: GPUBuffer;
  readonly left: readonly PlacedReflector[];
  readonly right: readonly PlacedReflector[];
}

/**
 * Reduces an m x n matrix, m >= n, by orthogonal transforms from both sides to an upper band of width PANEL (stage one
 * of Grosser and Lang 1999). For each panel of columns it takes the QR, the LQ of the row panel beside it, and updates
 * the trailing matrix,
 *   A <- (I - V1 T1^T V1^T) A (I - V2 T2 V2^T) = A - V1 W1 - Y V2^T,  W1 = T1^T V1^T A,  Y = (A V2 - V1 W1 V2) T2.
 * @param keep whether to keep the reflectors, for vectors
 */
export async function reduceToBand(
  context: Context,
  a: GpuMatrix,
  keep: boolean,
  step: (share: number) => void,
): Promise<Band> {
  const { rows: m, cols: n } = a;
  const band = context.buffer(bandRoom(n), `the band of a matrix of ${n} columns`);
  context.commands.clear(band);
  const kept: { left: PlacedReflector[]; right: PlacedReflector[] } = { left: [], right: [] };
  const done = (side: 'left' | 'right', placed: PlacedReflector) => {
    if (keep) kept[side].push(placed);
    else releaseReflectors(context, [placed]);
  };
  const store = async (
    block: GpuMatrix,
    start: number,
    shift: number,
    transposed: boolean,
    rows: number,
    columns: number,
  ) => {
    await context.commands.dispatch(
      { file: 'band', constants: { transposed: Number(transposed) } },
      [block.blocks[0]!.buffer, band],
      [block.cols, start, shift, rows, columns],
      [4, 1],
    );
  };
  try {
    for (let at = 0; at < n; at += PANEL) {
      // The remaining work is cubic in the remaining size.
      step(1 - ((n - at) / n) ** 3);
      const w = Math.min(PANEL, n - at);
      const left = await factorPanel(context, part(a, at, at, m - at, w), 'columns');
      await store(left.r, at, 0, false, w, w);
      if (at + w < n) {
        const rest = n - at - w;
        const w1 = context.matrix(w, rest);
        const z = context.matrix(w, rest);
        await context.operations.multiply(whole(z), whole(left.v), part(a, at, at + w));
        await context.operations.multiply(whole(w1), whole(left.t), whole(z), {
          transposeA: true,
        });
        const rowPanel = part(a, at, at + w, w);
        await context.operations.multiply(rowPanel, part(left.v, 0, 0, w, w), whole(w1), {
          transposeA: true,
          alpha: -1,
          beta: 1,
        });
        const right = await factorPanel(context, rowPanel, 'rows');
        await store(right.r, at, w, true, w, Math.min(w, rest));
        if (m > at + w) await update(context, part(a, at + w, at + w), part(left.v, 0, w), w1, right.v, right.t);
        context.release(w1, z);
        done('right', { at: at + w, reflector: right });
      }
      done('left', { at, reflector: left });
    }
    return { band, ...kept };
  } catch (error) {
    releaseBand(context, { band, ...kept });
    throw error;
  }
}

export function releaseBand(context: Context, { band, left, right }: Band): void {
  context.commands.release(band);
  releaseReflectors(context, left);
  releaseReflectors(context, right);
}

/** A <- A - V1 W1 - Y V2^T on the trailing matrix. */
async function update(context: Context, a: View, v1: View, w1: GpuMatrix, v2: GpuMatrix, t2: GpuMatrix): Promise<void> {
  const w = v2.rows;
  const x = context.matrix(a.rows, w);
  const y = context.matrix(a.rows, w);
  const g = context.matrix(w1.rows, w);
  await context.operations.multiply(whole(x), a, whole(v2), {
    transposeB: true,
  });
  await context.operations.multiply(whole(g), whole(w1), whole(v2), {
    transposeB: true,
  });
  await context.operations.multiply(whole(x), v1, whole(g), {
    transposeA: true,
    alpha: -1,
    beta: 1,
  });
  await context.operations.multiply(whole(y), whole(x), whole(t2));
  await context.operations.multiply(a, v1, whole(w1), {
    transposeA: true,
    alpha: -1,
    beta: 1,
  });
  await context.operations.multiply(a, whole(y), whole(v2), {
    alpha: -1,
    beta: 1,
  });
  context.release(x, y, g);
}
