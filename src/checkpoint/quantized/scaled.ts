import { elementCount } from '../../base/shape.ts';
import { valuesIn } from '../tensor.ts';
import { companionsOf } from './companions.ts';
import { powersOfTwo } from './exponents.ts';
import { type Directory, isSmallFloat, type Packed, quantizationOf, type Scheme } from './packed.ts';

/**
 * Matrices, convolutions and stacks of matrices in 8-bit floats or integers with scales for each tensor, row, group of
 * a row or block, under the names that `companionsOf` knows; integers may have zero points. w = scale * (q - zero).
 * Also the weights of a GGUF file that have a `scale` beside them, by which llama.cpp multiplies their products.
 */
export const scaled: Scheme = (codes, directory) => {
  const inGguf = directory.format === 'gguf' && codes.name.endsWith('.weight') && !/^[IU]\d+$/.test(codes.dtype);
  if (!(/^(F8_E[45]M[23](FNUZ)?|I8)$/.test(codes.dtype) || inGguf) || codes.shape.includes(0)) return undefined;
  const { name, scales, zeros, extras } = companionsOf(codes.name, directory);
  // Bytes whose scales have 8 bits are pairs of 4-bit floats (`fp4.ts`).
  if (!scales || (codes.dtype === 'I8' && /^(U8|F8)/.test(scales.dtype))) return undefined;
  // ChatGLM packs two codes into each byte under the names of other libraries' single ones.
  if (codes.dtype === 'I8' && directory.configuration.quantization_bit === 4) return { layout: 'ChatGLM in 4 bits' };
  const grid = gridOf(codes.shape, scales.shape, blockOf(directory));
  if (!grid || (zeros && zeros.shape.join() !== scales.shape.join())) return undefined;
  const cols = codes.shape.at(-1)!;
  const { rows, down, across, blockRows, blockCols } = grid;
  const lineOf = (row: number) => Math.floor(row / rows) * down + Math.floor((row % rows) / blockRows);
  const scalesAt = scales.dtype === 'U8' && isSmallFloat(codes.dtype) ? powersOfTwo : valuesIn;
  return {
    name,
    shape: codes.shape,
    dtype: `${codes.dtype} scaled`,
    parts: [codes, scales, ...(zeros ? [zeros] : []), ...extras],
    async decodeRows(row, out, signal) {
      const first = lineOf(row);
      const count = lineOf(row + out.length / cols - 1) + 1 - first;
      const [scale, zero] = await Promise.all([
        scalesAt(scales, first * across, count * across, signal),
        zeros ? valuesIn(zeros, first * across, count * across, signal) : undefined,
        codes.read(row * cols, out, signal),
      ]);
      for (let i = 0, r = row; i < out.length; r++) {
        const line = (lineOf(r) - first) * across;
        // Block by block: with a division for each entry, this took longer than the estimate that it is made for.
        for (let block = 0, c = 0; c < cols; block++) {
          const end = Math.min(cols, Math.ceil((block + 1) * blockCols));
          const factor = scale[line + block]!;
          const shift = zero?.[line + block] ?? 0;
          for (; c < end; c++, i++) out[i] = factor * (out[i]! - shift);
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

/** How scales cover codes. All dimensions of the codes but the last are counted together as rows. */
interface Grid {
  /** The rows of each slice of a stack, or all rows. */
  readonly rows: number;
  /** The scales of a slice, down and across. */
  readonly down: number;
  readonly across: number;
  /** The rows and columns that one scale covers. */
  readonly blockRows: number;
  readonly blockCols: number;
}

/** Finds how scales of one shape cover codes of another; undefined if they do not fit. */
function gridOf(codes: readonly number[], scales: readonly number[], block: readonly unknown[]): Grid | undefined {
  const cols = codes.at(-1)!;
  const rows = elementCount(codes) / cols;
  if (elementCount(scales) === 1) return { rows, down: 1, across: 1, blockRows: rows, blockCols: cols };
  if (codes.length < 2) return undefined;
  if (codes.length === 2) return gridOfMatrix(rows, cols, scales, block);
  // One grid for each slice of a stack, or one scale for each output channel of a convolution.
  const [slices] = codes as [number, ...number[]];
  if (scales[0] !== slices) return undefined;
  // ModelOpt leaves a size of one out; its experts are (in, out), with a scale for each output.
  const inner = codes.length === 3 && scales.length === 2 && scales[1] === cols ? [1, cols] : scales.slice(1);
  return gridOfMatrix(rows / slices, cols, inner, block);
}

/**
 * The grid over one matrix: blocks of the `announced` size if it fits, otherwise of a common size (the last block may
 * be smaller), otherwise of the size that divides the matrix evenly.
 */
function gridOfMatrix(
  rows: number,
  cols: number,
  shape: readonly number[],
  announced: readonly unknown[],
): Grid | undefined {
  const count = elementCount(shape);
  if (count === 1) return { rows, down: 1, across: 1, blockRows: rows, blockCols: cols };
  if (count === rows && shape[0] === rows) return { rows, down: rows, across: 1, blockRows: 1, blockCols: cols };
  if (shape.length !== 2 || !(count > 0)) return undefined;
  const [down, across] = shape as [number, number];
  const block = (size: number, pieces: number, preferred: unknown) =>
    [preferred, 128, 64, 32, 16, 256, 512, size / pieces].find(
      (length): length is number => Number.isInteger(length) && Math.ceil(size / (length as number)) === pieces,
    );
  const [blockRows, blockCols] = [block(rows, down, announced[0]), block(cols, across, announced[1])];
  return blockRows && blockCols ? { rows, down, across, blockRows, blockCols } : undefined;
}
