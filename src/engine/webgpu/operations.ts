import { type Commands, real } from './commands.ts';
import { pieces, type View, whole } from './gpuMatrix.ts';

/** Products and copies on views; every other routine of this engine is made of these and of the panel kernels. */
export class Operations {
  constructor(private readonly commands: Commands) {}

  /** C = alpha op(A) op(B) + beta C. The pieces of A and B along the summed dimension are added one after the other. */
  async multiply(
    c: View,
    a: View,
    b: View,
    options: {
      transposeA?: boolean;
      transposeB?: boolean;
      alpha?: number;
      beta?: number;
    } = {},
  ): Promise<void> {
    const { transposeA = false, transposeB = false, alpha = 1, beta = 0 } = options;
    const depth = transposeA ? a.rows : a.columns;
    const kernel = {
      file: 'multiply',
      constants: {
        transposeA: Number(transposeA),
        transposeB: Number(transposeB),
      },
    };
    const piecesA = pieces(a);
    const piecesB = pieces(b);
    for (const target of pieces(c)) {
      const started = new Set<number>();
      for (const left of piecesA) {
        for (const right of piecesB) {
          // Rows of C, columns of C and summed range that this pair of pieces covers.
          const m = transposeA ? span(target.row, target.rows) : overlap(target, left);
          const n = transposeB ? span(right.row, right.rows) : span(0, c.columns);
          const deepA = transposeA ? span(left.row, left.rows) : span(0, depth);
          const k = transposeB ? deepA : intersect(deepA, span(right.row, right.rows));
          if (m.size <= 0 || n.size <= 0 || k.size <= 0) continue;
          const tile = m.from * c.columns + n.from;
          const offsetA = transposeA
            ? left.offset + (k.from - left.row) * a.matrix.cols + m.from
            : left.offset + (m.from - left.row) * a.matrix.cols + k.from;
          const offsetB = transposeB ? right.offset + k.from : right.offset + (k.from - right.row) * b.matrix.cols;
          const offsetC = target.offset + (m.from - target.row) * c.matrix.cols + n.from;
          await this.commands.dispatch(
            kernel,
            [left.buffer, right.buffer, target.buffer],
            // biome-ignore format: in the order of the kernel's Params
            [m.size, n.size, k.size, 0, offsetA, a.matrix.cols, offsetB, b.matrix.cols, offsetC, c.matrix.cols, real(alpha), real(started.has(tile) ? 1 : beta)],
            [Math.ceil(n.size / 64), Math.ceil(m.size / 64)],
          );
          started.add(tile);
        }
      }
    }
  }

  /** target = scale * op(source). */
  async copy(target: View, source: View, { transposed = false, scale = 1 } = {}): Promise<void> {
    const kernel = {
      file: 'copy',
      constants: { transposed: Number(transposed) },
    };
    for (const to of pieces(target)) {
      for (const from of pieces(source)) {
        const rows = transposed ? span(to.row, to.rows) : overlap(to, from);
        const columns = transposed ? span(from.row, from.rows) : span(0, target.columns);
        if (rows.size <= 0 || columns.size <= 0) continue;
        const sourceOffset = transposed
          ? from.offset + rows.from
          : from.offset + (rows.from - from.row) * source.matrix.cols;
        const targetOffset = to.offset + (rows.from - to.row) * target.matrix.cols + columns.from;
        await this.commands.dispatch(
          kernel,
          [from.buffer, to.buffer],
          [rows.size, columns.size, sourceOffset, source.matrix.cols, targetOffset, target.matrix.cols, real(scale), 0],
          [Math.ceil(columns.size / 16), Math.ceil(rows.size / 16)],
        );
      }
    }
  }

  /** Makes a view the unit matrix. `other` is any buffer of another matrix: the kernel has a source that it does not read. */
  async setIdentity(target: View, other: GPUBuffer): Promise<void> {
    for (const to of pieces(target)) {
      await this.commands.dispatch(
        { file: 'copy', constants: { identity: 1 } },
        [other, to.buffer],
        [to.rows, target.columns, 0, 0, to.offset, target.matrix.cols, real(1), to.row],
        [Math.ceil(target.columns / 16), Math.ceil(to.rows / 16)],
      );
    }
  }

  /** The largest magnitude of a whole matrix. */
  async largest(view: View): Promise<number> {
    const result = this.commands.allocate(1);
    this.commands.clear(result);
    for (const piece of pieces(whole(view.matrix))) {
      const count = piece.rows * view.matrix.cols;
      await this.commands.dispatch(
        { file: 'largest' },
        [piece.buffer, result],
        [count],
        [Math.min(1024, Math.ceil(count / 256)), 1],
      );
    }
    const bits = await this.commands.read(result, 0, 1);
    this.commands.release(result);
    return new Float32Array(bits)[0] ?? 0;
  }
}

interface Span {
  readonly from: number;
  readonly size: number;
}

const span = (from: number, size: number): Span => ({ from, size });

function intersect(a: Span, b: Span): Span {
  const from = Math.max(a.from, b.from);
  return { from, size: Math.min(a.from + a.size, b.from + b.size) - from };
}

const overlap = (a: { row: number; rows: number }, b: { row: number; rows: number }) =>
  intersect(span(a.row, a.rows), span(b.row, b.rows));
