import { RankscopeError } from '../../base/errors.ts';
import type { Commands } from './commands.ts';
import { type GpuMatrix, rowBlocks } from './gpuMatrix.ts';
import { Operations } from './operations.ts';

/** What every routine of this backend works with. */
export interface Context {
  readonly commands: Commands;
  readonly operations: Operations;
  /** A matrix with undefined content. @throws RankscopeError 'too-large' if one row exceeds a binding. */
  matrix(rows: number, cols: number): GpuMatrix;
  /** A matrix in a single buffer. @throws RankscopeError 'too-large' if it exceeds a binding. */
  single(rows: number, cols: number): GpuMatrix;
  /** A buffer of f32 numbers that fits in a binding. @throws RankscopeError 'too-large', naming `what` it was for. */
  buffer(floats: number, what: string): GPUBuffer;
  /** Bytes that fit in a binding. */
  readonly bindingBytes: number;
  release(...matrices: readonly GpuMatrix[]): void;
}

/** Buffers per matrix: more than fill the memory of any GPU, few enough to allocate in a moment. */
const MOST_BINDINGS = 4096;

export function createContext(commands: Commands, bindingBytes: number): Context {
  const buffer: Context['buffer'] = (floats, what) => {
    if (4 * floats > bindingBytes) {
      const found = `${what} takes ${4 * floats} bytes, a binding has ${bindingBytes}`;
      throw new RankscopeError('too-large', 'webgpu', found, 'Choose the cpu engine');
    }
    return commands.allocate(floats);
  };
  return {
    commands,
    bindingBytes,
    buffer,
    single: (rows, cols) => ({
      rows,
      cols,
      blocks: [{ row: 0, rows, buffer: buffer(rows * cols, `a ${rows} x ${cols} matrix in one piece`) }],
    }),
    operations: new Operations(commands),
    matrix(rows, cols) {
      if (4 * cols > bindingBytes) {
        const found = `a row of ${cols} values is larger than a binding of ${bindingBytes} bytes`;
        throw new RankscopeError('too-large', 'webgpu', found, 'Choose the cpu engine');
      }
      if (4 * rows * cols > MOST_BINDINGS * bindingBytes) {
        const found = `a ${rows} x ${cols} matrix would take more than ${MOST_BINDINGS} buffers of ${bindingBytes} bytes`;
        throw new RankscopeError('too-large', 'webgpu', found, 'Choose the cpu engine');
      }
      const blocks = rowBlocks(rows, cols, bindingBytes).map((block) => ({
        ...block,
        buffer: commands.allocate(block.rows * cols),
      }));
      return { rows, cols, blocks };
    },
    release(...matrices) {
      for (const { blocks } of matrices) commands.release(...blocks.map(({ buffer }) => buffer));
    },
  };
}
