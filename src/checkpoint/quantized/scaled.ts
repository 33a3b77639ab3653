import { elementCount } from '../../base/shape.ts';
import { type Tensor, valuesIn } from '../tensor.ts';
import { type Directory, type Packed, quantizationOf, type Scheme } from './packed.ts';

/**
 * A matrix or a stack of matrices in 8-bit floats or integers with scales: `weight_scale_inv` per block (DeepSeek), or
 * `weight_scale` per matrix or per row (compressed-tensors, FBGEMM), where integers may have a `weight_zero_point`. w =
 * scale * (q - zero).
 */
export const scaled: Scheme = (codes, directory) => {
  const { tensors } = directory;
  if (!/^(F8_E4M3|F8_E5M2|I8)$/.test(codes.dtype) || codes.shape.length < 2 || codes.shape.length > 3) return undefined;
  const part = (suffix: string) => tensors.get(codes.name + suffix);
  const scales = part('_scale_inv') ?? part('_scale');
  // Bytes whose scales are powers of two are pairs of 4-bit floats (`fp4.ts`).
  if (!scales || (codes.dtype === 'I8' && scales.dtype === 'F8_E8M0')) return undefined;
  const [rows, cols] = codes.shape.slice(-2) as [number, number];
  const stack = codes.shape.length > 2 ? codes.shape[0]! : 1;
  if (codes.shape.length > 2 && scales.shape[0] !== stack) return undefined;
  const grid = gridOf(codes.shape.length > 2 ? scales.shape.slice(1) : scales.shape, rows, cols, blockOf(directory));
  const zeros = part('_zero_point');
  if (!grid || (zeros && zeros.shape.join() !== scales.shape.join())) return undefined;
  const input = tensors.get(codes.name.replace(/\.weight$/, '.input_scale'));
  const [gridRows, gridCols, blockRows, blockCols] = grid;
  const lineOf = (row: number) => Math.floor(row / rows) * gridRows + Math.floor((row % rows) / blockRows);
  return {
    name: codes.name,
    shape: codes.shape,
    dtype: `${codes.dtype} scaled`,
    parts: [codes, scales, zeros, input === codes ? undefined : input].filter((tensor) => tensor !== undefined),
    async decodeRows(row, out, signal) {
      const first = lineOf(row);
      const count = lineOf(row + out.length / cols - 1) + 1 - first;
      const valuesAt = (part: Tensor) => valuesIn(part, first * gridCols, count * gridCols, signal);
      const [scale, zero] = await Promise.all([valuesAt(scales), zeros ? valuesAt(zeros) : undefined]);
      await codes.read(row * cols, out, signal);
      for (let i = 0, r = row; i < out.length; r++) {
        const line = (lineOf(r) - first) * gridCols;
        for (let c = 0; c < cols; c++, i++) {
          const at = line + Math.floor(c / blockCols);
          out[i] = scale[at]! * (out[i]! - (zero?.[at] ?? 0));
        }
      }
    },
  } satisfies Packed;
};

/** The block size in the configuration, as [rows, cols]; empty if it has none. */
function blockOf(directory: Directory): readonly unknown[] {
  const { weight_block_size: block } = quantizationOf(directory);
  return Array.isArray(block) && block.length === 2 ? block : [];
}

/**
 * The number of scales down and across, and the rows and columns that each covers: the `announced` block size if it
 * fits, otherwise a common size (the last block may be smaller), otherwise the size that divides the matrix evenly.
 */
function gridOf(
  shape: readonly number[],
  rows: number,
  cols: number,
  announced: readonly unknown[],
): [number, number, number, number] | undefined {
  const count = elementCount(shape);
  if (count === 1) return [1, 1, rows, cols];
  if (count === rows && shape[0] === rows) return [rows, 1, 1, cols];
  if (shape.length !== 2 || !(count > 0)) return undefined;
  const [down, across] = shape as [number, number];
  const block = (size: number, pieces: number, preferred: unknown) =>
    [preferred, 128, 64, 32, 16, 256, 512, size / pieces].find(
      (length): length is number => Number.isInteger(length) && Math.ceil(size / (length as number)) === pieces,
    );
  const [blockRows, blockCols] = [block(rows, down, announced[0]), block(cols, across, announced[1])];
  return blockRows && blockCols ? [down, across, blockRows, blockCols] : undefined;
}
