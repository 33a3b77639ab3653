import { ENCODED_BYTES } from '../../base/encoding.ts';
import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import type { Backend, Matrix, RoutineOptions } from '../backend.ts';
import { onHost } from '../plain/onHost.ts';
import { checkProductShapes } from '../productShapes.ts';
import { Commands } from './commands.ts';
import { createContext } from './context.ts';
import { decodeRows } from './decode.ts';
import type { Gpu } from './device.ts';
import { type GpuMatrix, whole } from './gpuMatrix.ts';
import { Kernels } from './kernels.ts';
import { qr } from './qr.ts';
import { downloadMatrix, type Processor, singularValues, svd } from './routines.ts';

export interface WebgpuOptions {
  /** The text of a WGSL file, by its name without the extension. */
  readonly source: (file: string) => Promise<string>;
  readonly processor: Processor;
  /** Bytes per binding; tests use it to split matrices over several buffers. */
  readonly bindingBytes?: number;
  readonly reason: string;
}

/** `Backend` on the GPU of any vendor, with our own WebGPU kernels. */
export function createWebgpuBackend({ device, description }: Gpu, options: WebgpuOptions): Backend {
  const commands = new Commands(device, new Kernels(device, options.source));
  const { maxStorageBufferBindingSize, maxBufferSize } = device.limits;
  const context = createContext(
    commands,
    Math.min(options.bindingBytes ?? maxBufferSize, maxStorageBufferBindingSize, maxBufferSize),
  );
  const live = new Set<Matrix>();

  const open = (matrix: Matrix): GpuMatrix => {
    commands.throwIfFailed();
    if (!live.has(matrix))
      throw new RankscopeError('wrong-use', 'webgpu', 'a matrix that was freed or belongs to another device');
    return matrix as GpuMatrix;
  };
  const adopt = (matrix: GpuMatrix): Matrix => {
    live.add(matrix);
    return matrix;
  };
  /** Runs a routine that may be cancelled between kernels, which drops whatever was recorded but not submitted. */
  const routine = async <T>(
    name: string,
    { signal, progress }: RoutineOptions,
    work: (step: (share: number) => void) => Promise<T>,
  ): Promise<T> => {
    const step = (share: number) => {
      throwIfCancelled(signal, name);
      progress?.(share);
    };
    try {
      step(0);
      return await work(step);
    } catch (error) {
      await commands.abandon();
      throw error;
    }
  };

  const backend: Backend = {
    capacity: Number.POSITIVE_INFINITY,
    info: {
      name: 'webgpu',
      device: description,
      threads: 1,
      reason: options.reason,
    },

    async allocate(rows, cols) {
      commands.throwIfFailed();
      device.pushErrorScope('out-of-memory');
      const matrix = context.matrix(rows, cols);
      const refused = await device.popErrorScope();
      if (refused === null) return adopt(matrix);
      context.release(matrix);
      const found = `a ${rows} x ${cols} matrix needs ${4 * rows * cols} bytes, more than the GPU has free`;
      throw new RankscopeError('too-large', 'webgpu', found, 'Choose the cpu engine');
    },

    free(matrix) {
      if (live.delete(matrix)) context.release(matrix as GpuMatrix);
    },

    async upload(matrix, row, rows, fill) {
      const { cols, blocks } = open(matrix);
      const out = new Float32Array(rows * cols);
      await fill(out);
      for (const block of blocks) {
        const first = Math.max(row, block.row);
        const end = Math.min(row + rows, block.row + block.rows);
        if (first >= end) continue;
        await commands.write(
          block.buffer,
          (first - block.row) * cols,
          out.subarray((first - row) * cols, (end - row) * cols),
        );
      }
    },

    async uploadStored(matrix, row, rows, encoding, fill) {
      const goal = open(matrix);
      const bytes = new Uint8Array(rows * goal.cols * ENCODED_BYTES[encoding]);
      await fill(bytes);
      return decodeRows(commands, goal, row, rows, encoding, bytes);
    },

    download: async (matrix) => await downloadMatrix(context, open(matrix)),

    multiply: (out, a, b, { signal, ...form } = {}) => backend.multiplyInTurn([{ out, a, b, ...form }], { signal }),

    async multiplyInTurn(products, { signal } = {}) {
      throwIfCancelled(signal, 'multiply');
      // All are checked first: nothing may be recorded that is not submitted.
      const calls = products.map(({ out, a, b, ...form }) => {
        checkProductShapes(out, a, b, form);
        return [whole(open(out)), whole(open(a)), whole(open(b)), form] as const;
      });
      for (const call of calls) await context.operations.multiply(...call);
      await commands.submit();
    },

    orthonormalize: (a, routineOptions = {}) =>
      routine('QR', routineOptions, async (step) => adopt(await qr(context, open(a), true, step))),

    triangularize: (a, routineOptions = {}) =>
      routine('QR', routineOptions, async (step) => adopt(await qr(context, open(a), false, step))),

    singularValues: (a, routineOptions = {}) =>
      routine('singular values', routineOptions, (step) =>
        singularValues(context, open(a), options.processor, routineOptions, step),
      ),

    svd: (a, rank, routineOptions = {}) =>
      routine('SVD', routineOptions, (step) => {
        if (!Number.isInteger(rank) || rank < 1 || rank > Math.min(a.rows, a.cols))
          throw new RankscopeError(
            'wrong-use',
            'webgpu',
            `was asked for rank ${rank} of a ${a.rows} x ${a.cols} matrix`,
          );
        return svd(context, open(a), rank, options.processor, routineOptions, step);
      }),

    get network() {
      return onHost(backend);
    },

    async close() {
      live.clear();
      device.destroy();
    },
  };
  return backend;
}
