import { elementCount } from '../../base/shape.ts';
import { type Tensor, valuesIn } from '../../checkpoint/tensor.ts';

/** Codes with scales that repeat over blocks: w = scale * (q - zero). */
export interface AffineLayout {
  readonly codes: Tensor;
  readonly shape: readonly number[];
  readonly scales: Tensor;
  readonly zeros: Tensor | undefined;
  /** The zero point where `zeros` is undefined. */
  readonly zero: number;
  /** The elements along each dimension that share a scale. */
  readonly blocks: readonly number[];
  /** The number of scales along each dimension. */
  readonly grid: readonly number[];
}

/**
 * The blocks of scales for a whole tensor, along an axis, or in blocks along an axis (DequantizeLinear of ONNX);
 * undefined if the scales do not fit.
 */
export function blocksOf(
  shape: readonly number[],
  scales: readonly number[],
  axis: number,
  blockSize: number,
): Pick<AffineLayout, 'blocks' | 'grid'> | undefined {
  const at = axis < 0 ? axis + shape.length : axis;
  if (blockSize > 0 && scales.length === shape.length) {
    // Along other axes a scale belongs to one element, or to all.
    const blocks = shape.map((size, k) => (k === at ? blockSize : scales[k] === size ? 1 : size));
    const grid = shape.map((size, k) => Math.ceil(size / blocks[k]!));
    return grid.join() === scales.join() ? { blocks, grid } : undefined;
  }
  if (elementCount(scales) === 1) return { blocks: shape, grid: shape.map(() => 1) };
  const size = shape[at];
  if (scales.length !== 1 || size === undefined || scales[0] !== size) return undefined;
  return {
    blocks: shape.map((length, k) => (k === at ? 1 : length)),
    grid: shape.map((_, k) => (k === at ? size : 1)),
  };
}

/** Decodes `out.length` elements from `start` on. */
export async function readAffine(
  { codes, shape, scales, zeros, zero, blocks, grid }: AffineLayout,
  start: number,
  out: Float32Array,
  signal?: AbortSignal,
): Promise<void> {
  if (out.length === 0) return;
  await codes.read(start, out, signal);
  const cols = shape.at(-1) ?? 1;
  const [blockCols, gridCols] = [blocks.at(-1) ?? 1, grid.at(-1) ?? 1];
  /** The first scale of a row. */
  const lineOf = (row: number) => {
    let [rest, line, step] = [row, 0, gridCols];
    for (let k = shape.length - 2; k >= 0; k--) {
      line += Math.floor((rest % shape[k]!) / blocks[k]!) * step;
      rest = Math.floor(rest / shape[k]!);
      step *= grid[k]!;
    }
    return line;
  };
  const firstRow = Math.floor(start / cols);
  const rows = Math.floor((start + out.length - 1) / cols) + 1 - firstRow;
  const lines = Float64Array.from({ length: rows }, (_, r) => lineOf(firstRow + r));
  const first = lines.reduce((least, line) => Math.min(least, line), Number.POSITIVE_INFINITY);
  const count = lines.reduce((most, line) => Math.max(most, line), 0) + gridCols - first;
  const [scale, offset] = await Promise.all([
    valuesIn(scales, first, count, signal),
    zeros && valuesIn(zeros, first, count, signal),
  ]);
  let col = start % cols;
  for (let i = 0, r = 0; i < out.length; i++) {
    const at = lines[r]! - first + Math.floor(col / blockCols);
    out[i] = (out[i]! - (offset ? offset[at]! : zero)) * scale[at]!;
    if (++col === cols) {
      col = 0;
      r++;
    }
  }
}
