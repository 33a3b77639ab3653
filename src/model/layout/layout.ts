import { elementCount } from '../../base/shape.ts';

/** What the matrices of a stack stand for. `slice` is a stack of unknown meaning. */
export type StackKind = 'expert' | 'head' | 'group' | 'layer' | 'slice';

/** What one axis of a tensor is: a part of the outputs or inputs of its matrices, or one matrix for each index. */
export type Axis = 'out' | 'in' | StackKind;

/** How a tensor holds matrices. */
export interface Layout {
  /**
   * The axes in the order in which they are stored (row-major). Their sizes multiply to the tensor's number of
   * elements; they are the tensor's shape unless one size of it covers two axes.
   */
  readonly axes: readonly (readonly [axis: Axis, size: number])[];
  /** Why factors cannot replace the PyTorch layer of these matrices; null if they can. */
  readonly fixed: string | null;
  readonly isConvolution?: boolean;
  /** What the file leaves open, as the end of a sentence that begins with the tensor's name. */
  readonly doubt?: string;
}

/** One matrix of a tensor, where it is stored. Element (r, c) is at `offset` + r * rowStride + column c of its row. */
export interface StoredLayout {
  /** Rows as stored. */
  readonly rows: number;
  readonly cols: number;
  /** Stored as (in, out): `rows` x `cols` is then n x m. */
  readonly transposed: boolean;
  /** Its start in the tensor, in elements. */
  readonly offset: number;
  /** Elements from one row to the next. */
  readonly rowStride: number;
  /** Each row consists of so many equal pieces, contiguous in themselves, `pieceStride` elements apart. */
  readonly pieces: number;
  readonly pieceStride: number;
  /** Its place in the stack, outermost first; empty for a whole tensor. */
  readonly indices: readonly (readonly [kind: StackKind, index: number])[];
}

/** A layout from the words for its axes, such as `expert out in`. */
export function layout(words: string, sizes: readonly number[], more: Partial<Omit<Layout, 'axes'>> = {}): Layout {
  const axes = words.split(' ').map((word, k) => [word as Axis, sizes[k] ?? 1] as const);
  return { axes, fixed: null, ...more };
}

/** A whole tensor of `rows` x `cols`. */
export function wholeMatrix(rows: number, cols: number, transposed: boolean): StoredLayout {
  return { rows, cols, transposed, offset: 0, rowStride: cols, pieces: 1, pieceStride: 0, indices: [] };
}

/** Whether the inputs come first, as in a kernel of Keras or JAX. */
export function hasOutputsLast({ axes }: Layout): boolean {
  return axes.at(-1)?.[0] === 'out' && axes.some(([axis]) => axis === 'in');
}

/** The number of matrices. */
export function stackSize({ axes }: Layout): number {
  return elementCount(axes.filter(([axis]) => isStacked(axis)).map(([, size]) => size));
}

/**
 * All matrices of a layout, in the order of storage. The outputs must be adjacent axes, or the inputs; an innermost
 * axis must not be stacked.
 */
export function matricesIn({ axes }: Layout): StoredLayout[] {
  const strides = axes.map((_, k) => elementCount(axes.slice(k + 1).map(([, size]) => size)));
  const runs: Run[] = [];
  for (const [k, [axis, size]] of axes.entries()) {
    if (isStacked(axis)) continue;
    const last = runs.at(-1);
    // Axes of the same kind with nothing between them are one.
    if (last?.axis === axis && last.stride === size * strides[k]!)
      runs[runs.length - 1] = { axis, size: last.size * size, stride: strides[k]! };
    else runs.push({ axis, size, stride: strides[k]! });
  }
  const matrix = matrixOf(runs);
  let stacked: Pick<StoredLayout, 'offset' | 'indices'>[] = [{ offset: 0, indices: [] }];
  for (const [k, [axis, size]] of axes.entries()) {
    if (!isStacked(axis)) continue;
    stacked = stacked.flatMap(({ offset, indices }) =>
      Array.from({ length: size }, (_, index) => ({
        offset: offset + index * strides[k]!,
        indices: [...indices, [axis, index] as const],
      })),
    );
  }
  return stacked.map((place) => ({ ...matrix, ...place }));
}

interface Run {
  readonly axis: 'out' | 'in';
  readonly size: number;
  readonly stride: number;
}

function matrixOf(runs: readonly Run[]): Omit<StoredLayout, 'offset' | 'indices'> {
  const inner = runs.at(-1)!;
  const row = runs.at(-2) ?? { axis: inner.axis === 'in' ? 'out' : 'in', size: 1, stride: inner.size };
  const outer = runs.at(-3) ?? { size: 1, stride: 0 };
  return {
    rows: row.size,
    cols: outer.size * inner.size,
    transposed: row.axis === 'in',
    rowStride: row.stride,
    pieces: outer.size,
    pieceStride: outer.stride,
  };
}

function isStacked(axis: Axis): axis is StackKind {
  return axis !== 'out' && axis !== 'in';
}
