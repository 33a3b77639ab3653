import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { nextTurn } from '../../base/eventLoop.ts';
import type { SingularTriplets } from '../../base/singularTriplets.ts';
import { type Backend, type Matrix, type RoutineOptions, TALL } from '../backend.ts';
import { decodeOnHost } from '../decoding.ts';
import { multiplyInTurn } from '../plain/multiplyInTurn.ts';
import { onHost } from '../plain/onHost.ts';
import { checkProductShapes } from '../productShapes.ts';
import { loadTensorFlow, type Tensor } from './load.ts';

/** TensorFlow's tensors cannot be written in part, so uploaded rows wait in `pending` until they are used. */
interface TensorMatrix extends Matrix {
  tensor: Tensor | undefined;
  pending: Float32Array | undefined;
}

/**
 * `Backend` with TensorFlow's native operators, on CUDA if the gpu package finds it. @throws RankscopeError 'engine'
 */
export function createTensorFlowBackend(): Backend {
  const loaded = loadTensorFlow();
  const { tf } = loaded;
  const native = tf.backend();
  const live = new Set<Matrix>();

  const take = (rows: number, cols: number, tensor?: Tensor): TensorMatrix => {
    const matrix = { rows, cols, tensor, pending: undefined };
    live.add(matrix);
    return matrix;
  };
  const own = (matrix: Matrix): TensorMatrix => {
    if (!live.has(matrix))
      throw new RankscopeError('wrong-use', 'tensorflow', 'a matrix that was freed or belongs to another device');
    return matrix as TensorMatrix;
  };
  const put = (matrix: TensorMatrix, tensor: Tensor | undefined) => {
    if (matrix.tensor !== tensor) matrix.tensor?.dispose();
    matrix.tensor = tensor;
    matrix.pending = undefined;
  };
  const value = (matrix: Matrix): Tensor => {
    const held = own(matrix);
    if (held.pending) put(held, tf.tensor2d(held.pending, [held.rows, held.cols]));
    held.tensor ??= tf.tensor2d(new Float32Array(held.rows * held.cols), [held.rows, held.cols]);
    return held.tensor;
  };
  const flag = (name: string, on: boolean) => ({ name, type: native.binding.TF_ATTR_BOOL, value: on });
  const execute = (
    operator: string,
    flags: Readonly<Record<string, boolean>>,
    input: Tensor,
    outputs: number,
  ): Tensor[] => {
    const attributes = [...Object.entries(flags).map(([name, on]) => flag(name, on)), loaded.typeAttribute()];
    try {
      return native.executeMultipleOutputs(operator, attributes, [input], outputs);
    } catch (error) {
      throw new RankscopeError(
        'engine',
        'tensorflow',
        `${operator} failed: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  };
  /** A native operator holds its thread and cannot be stopped: a cancellation takes effect once it is done. */
  const routine = async <T>(
    name: string,
    { signal, progress }: RoutineOptions,
    work: () => Promise<T> | T,
  ): Promise<T> => {
    await settle();
    throwIfCancelled(signal, name);
    const result = await work();
    await settle();
    throwIfCancelled(signal, name);
    progress?.(1);
    return result;
  };
  const factor = (a: Matrix, keepQ: boolean): Matrix => {
    const held = own(a);
    if (held.rows < held.cols)
      throw new RankscopeError('wrong-use', 'tensorflow', `a QR of a wide ${held.rows} x ${held.cols} matrix`);
    const [q, r] = execute('Qr', { full_matrices: false }, value(held), 2);
    if (keepQ) put(held, q);
    else q!.dispose();
    return take(held.cols, held.cols, r);
  };
  /** R of a QR if the matrix or its transpose is tall, otherwise the matrix. */
  const squared = (a: Matrix): Tensor => {
    const tensor = value(a);
    const [rows, cols] = tensor.shape as [number, number];
    if (Math.max(rows, cols) < TALL * Math.min(rows, cols)) return tensor;
    const tall = rows >= cols ? tensor : tf.transpose(tensor);
    const [q, r] = execute('Qr', { full_matrices: false }, tall, 2);
    q!.dispose();
    if (tall !== tensor) tall.dispose();
    return r!;
  };

  const device = native.isUsingGpuDevice ? 'CUDA GPU' : 'processor';
  const backend: Backend = {
    capacity: Number.POSITIVE_INFINITY,
    info: { name: 'tensorflow', device: `${device}, ${loaded.packageName} ${tf.version.tfjs}`, threads: 1, reason: '' },

    allocate: async (rows, cols) => {
      if (4 * rows * cols > 2 ** 34) {
        const found = `a ${rows} x ${cols} matrix needs ${4 * rows * cols} bytes; a tensor holds at most ${2 ** 34} here`;
        throw new RankscopeError('too-large', 'tensorflow', found, 'Choose the cpu engine');
      }
      return take(rows, cols);
    },

    free(matrix) {
      if (live.delete(matrix)) put(matrix as TensorMatrix, undefined);
    },

    async upload(matrix, row, rows, fill) {
      const held = own(matrix);
      if (row < 0 || row + rows > held.rows)
        throw new RankscopeError('wrong-use', 'tensorflow', `rows ${row} to ${row + rows} of ${held.rows}`);
      const pending =
        held.pending ??
        (held.tensor ? Float32Array.from(await held.tensor.data()) : new Float32Array(held.rows * held.cols));
      await fill(pending.subarray(row * held.cols, (row + rows) * held.cols));
      put(held, undefined);
      held.pending = pending;
    },

    uploadStored: (...stored) => decodeOnHost(backend, ...stored),

    download: async (matrix) => {
      const held = own(matrix);
      return held.pending?.slice() ?? (await value(held).data());
    },

    async multiply(out, a, b, options = {}) {
      const target = own(out);
      checkProductShapes(target, own(a), own(b), options);
      const { transposeA = false, transposeB = false, alpha = 1, beta = 0, signal } = options;
      throwIfCancelled(signal, 'multiply');
      const [left, right, old] = [value(a), value(b), beta === 0 ? undefined : value(out)];
      const product = tf.tidy(() => {
        const plain = tf.matMul(left, right, transposeA, transposeB);
        const scaled = alpha === 1 ? plain : tf.mul(plain, alpha);
        return old ? tf.add(scaled, tf.mul(old, beta)) : scaled;
      });
      put(target, product);
    },

    multiplyInTurn: (...products) => multiplyInTurn(backend.multiply, ...products),

    orthonormalize: (a, options = {}) => routine('QR', options, () => factor(a, true)),

    triangularize: (a, options = {}) => routine('QR', options, () => factor(a, false)),

    singularValues: (a, options = {}) =>
      routine('singular values', options, async () => {
        const square = squared(a);
        const [values, ...none] = execute('Svd', { compute_uv: false, full_matrices: false }, square, 3);
        const found = Float64Array.from(await values!.data());
        for (const tensor of [values!, ...none]) tensor.dispose();
        if (square !== own(a).tensor) square.dispose();
        return found;
      }),

    svd: (a, rank, options = {}) =>
      routine('SVD', options, async (): Promise<SingularTriplets> => {
        const [values, left, right] = execute('Svd', { compute_uv: true, full_matrices: false }, value(a), 3);
        const leading = async (factors: Tensor, rows: number) => {
          const picked = tf.slice(factors, [0, 0], [rows, rank]);
          const data = await picked.data();
          picked.dispose();
          return data;
        };
        try {
          const all = await values!.data();
          return {
            left: await leading(left!, a.rows),
            values: Float64Array.from(all.subarray(0, rank)),
            right: await leading(right!, a.cols),
          };
        } finally {
          for (const tensor of [values!, left!, right!]) tensor.dispose();
        }
      }),

    get network() {
      return onHost(backend);
    },

    async close() {
      for (const matrix of live) put(matrix as TensorMatrix, undefined);
      live.clear();
    },
  };
  return backend;
}

/** Lets timers and messages run. Those that arrived while an operator held the thread may need a second turn. */
async function settle(): Promise<void> {
  await nextTurn();
  await nextTurn();
}
