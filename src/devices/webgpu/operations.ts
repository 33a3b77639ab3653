import { type Commands, real } from './commands.ts';
import { bufferSlices, type View, whole } from './gpuMatrix.ts';

/** Rows and columns of C that a workgroup of multiply.wgsl computes. */
const TILE = 64;
/** Products with smaller sides leave most of a GPU idle. */
const LEAST_SIDE = 1024;

/** Products and copies of views. All other routines are built from these and the panel kernels. */
export class Operations {
  constructor(private readonly commands: Commands) {}

  /** C <- alpha op(A) op(B) + beta C. Slices of A and B along the summed dimension are added one after another. */
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
    const slicesA = bufferSlices(a);
    const slicesB = bufferSlices(b);
    for (const target of bufferSlices(c)) {
      const started = new Set<number>();
      for (const left of slicesA) {
        for (const right of slicesB) {
          // The rows of C, columns of C and summed range that this pair of slices covers.
          const m = transposeA ? span(target.row, target.rows) : overlap(target, left);
          const n = transposeB ? span(right.row, right.rows) : span(0, c.columns);
          const deepA = transposeA ? span(left.row, left.rows) : span(0, depth);
          const k = transposeB ? deepA : intersect(deepA, span(right.row, right.rows));
          if (m.size <= 0 || n.size <= 0 || k.size <= 0) continue;
          const tile = m.from * c.columns + n.from;
          const call = await this.commands.bind(kernel, [left.buffer, right.buffer, target.buffer]);
          for (const block of shortBlocks(m, n, k, this.commands.dispatchWork)) {
            const offsetA = transposeA
              ? left.offset + (block.k.from - left.row) * a.matrix.cols + block.m.from
              : left.offset + (block.m.from - left.row) * a.matrix.cols + block.k.from;
            const offsetB = transposeB
              ? right.offset + (block.n.from - right.row) * b.matrix.cols + block.k.from
              : right.offset + (block.k.from - right.row) * b.matrix.cols + block.n.from;
            const offsetC = target.offset + (block.m.from - target.row) * c.matrix.cols + block.n.from;
            const isFirst = block.k.from === k.from && !started.has(tile);
            const sizes = [block.m.size, block.n.size, block.k.size] as const;
            await call(
              // biome-ignore format: in the order of the kernel's Params
              [...sizes, 0, offsetA, a.matrix.cols, offsetB, b.matrix.cols, offsetC, c.matrix.cols, real(alpha), real(isFirst ? beta : 1)],
              [Math.ceil(block.n.size / TILE), Math.ceil(block.m.size / TILE)],
              2 * sizes[0] * sizes[1] * sizes[2],
            );
          }
          started.add(tile);
        }
      }
    }
  }

  /** target <- scale op(source). */
  async copy(target: View, source: View, { transposed = false, scale = 1 } = {}): Promise<void> {
    const kernel = {
      file: 'copy',
      constants: { transposed: Number(transposed) },
    };
    for (const to of bufferSlices(target)) {
      for (const from of bufferSlices(source)) {
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

  /**
   * Sets a view to the identity. `other` is a buffer of any other matrix: the kernel binds a source but does not read
   * it.
   */
  async setIdentity(target: View, other: GPUBuffer): Promise<void> {
    for (const to of bufferSlices(target)) {
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
    for (const slice of bufferSlices(whole(view.matrix))) {
      const count = slice.rows * view.matrix.cols;
      await this.commands.dispatch(
        { file: 'largest' },
        [slice.buffer, result],
        [count],
        [Math.min(1024, Math.ceil(count / 256)), 1],
      );
    }
    const bits = await this.commands.read(result, 0, 1);
    this.commands.release(result);
    return new Float32Array(bits)[0] ?? 0;
  }
}

/**
 * Splits a product into parts of at most `work` operations, unless they would be too small; those of a tile come in
 * order of k.
 */
function shortBlocks(m: Span, n: Span, k: Span, work: number): { m: Span; n: Span; k: Span }[] {
  let [rows, columns, depth] = [m.size, n.size, k.size];
  const halved = (size: number) => Math.ceil(size / 2 / TILE) * TILE;
  while (2 * rows * columns * depth > work && Math.max(rows, columns, depth) > LEAST_SIDE) {
    if (Math.max(rows, columns) <= LEAST_SIDE) depth = halved(depth);
    else if (rows > columns) rows = halved(rows);
    else columns = halved(columns);
  }
  return parts(m, rows).flatMap((m) => parts(n, columns).flatMap((n) => parts(k, depth).map((k) => ({ m, n, k }))));
}

const parts = ({ from, size }: Span, most: number): Span[] =>
  Array.from({ length: Math.ceil(size / most) }, (_, i) => span(from + i * most, Math.min(most, size - i * most)));

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
