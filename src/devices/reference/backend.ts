import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { nextTurn } from '../../base/eventLoop.ts';
import type { SingularTriplets } from '../../base/singularTriplets.ts';
import type { Backend, Matrix, MultiplyOptions, RoutineOptions } from '../backend.ts';
import { decodeOnHost } from '../decoding.ts';
import { multiplyInTurn } from '../plain/multiplyInTurn.ts';
import { checkProductShapes } from '../productShapes.ts';
import { jacobiSvd } from './jacobi.ts';
import { referenceNetworkOperations } from './networkOperations.ts';
import { type Dense, dense, householderQr } from './qr.ts';

export interface ReferenceOptions {
  /** Bytes for all matrices together; tests use it to force the small-memory paths. */
  readonly memoryLimit?: number;
}

/**
 * `Backend` in plain f64 TypeScript, the truth against which tests check the other devices. For small sizes only. Fresh
 * memory is filled with NaN, to expose code that relies on its content.
 */
export function createReferenceBackend({ memoryLimit = 2 ** 30 }: ReferenceOptions = {}): Backend {
  let used = 0;
  let closed = false;
  const live = new Set<Matrix>();

  const open = (matrix?: Matrix): Dense => {
    if (closed) throw new RankscopeError('engine', 'reference', 'the device is closed');
    if (matrix && !live.has(matrix)) {
      throw new RankscopeError('wrong-use', 'reference', 'a matrix that was freed or belongs to another device');
    }
    return matrix as Dense;
  };
  const take = (rows: number, cols: number): Dense => {
    open();
    const bytes = rows * cols * 8;
    if (used + bytes > memoryLimit) {
      const found = `a ${rows} x ${cols} matrix needs ${bytes} bytes, ${memoryLimit - used} of ${memoryLimit} are left`;
      throw new RankscopeError('too-large', 'reference', found, 'Choose another engine');
    }
    used += bytes;
    const matrix = dense(rows, cols);
    live.add(matrix);
    return matrix;
  };

  const backend: Backend = {
    // In f64 matrices take twice the bytes of f32, which capacities are about.
    capacity: memoryLimit / 2,
    info: { name: 'reference', device: 'plain f64', threads: 1, reason: 'requested by name' },

    async allocate(rows, cols) {
      const matrix = take(rows, cols);
      matrix.data.fill(Number.NaN);
      return matrix;
    },

    free(matrix) {
      if (live.delete(matrix)) used -= matrix.rows * matrix.cols * 8;
    },

    async upload(matrix, row, rows, fill) {
      const { cols, data } = open(matrix);
      const out = new Float32Array(rows * cols).fill(Number.NaN);
      await fill(out);
      data.set(out, row * cols);
    },

    uploadStored: (...stored) => decodeOnHost(backend, ...stored),

    async download(matrix) {
      return Float32Array.from(open(matrix).data);
    },

    async multiply(out, a, b, options = {}) {
      multiply(open(out), open(a), open(b), options);
    },

    multiplyInTurn: (...products) => multiplyInTurn(backend.multiply, ...products),

    async orthonormalize(a, options = {}) {
      const target = open(a);
      throwIfCancelled(options.signal, 'QR');
      const r = take(a.cols, a.cols);
      const factors = householderQr(dense(a.rows, a.cols, target.data.slice()));
      target.data.set(factors.q.data);
      r.data.set(factors.r.data);
      return r;
    },

    async triangularize(a, options = {}) {
      const target = open(a);
      throwIfCancelled(options.signal, 'QR');
      const r = take(a.cols, a.cols);
      r.data.set(householderQr(target).r.data);
      return r;
    },

    async singularValues(a, options = {}) {
      const { values } = await jacobiSvd(open(a), betweenSweeps('singular values', options));
      return values;
    },

    async svd(a, rank, options = {}): Promise<SingularTriplets> {
      const { left, values, right } = await jacobiSvd(open(a), betweenSweeps('SVD', options));
      return { left: leading(left, rank), values: values.slice(0, rank), right: leading(right, rank) };
    },

    network: referenceNetworkOperations((matrix) => open(matrix).data),

    async close() {
      closed = true;
      live.clear();
    },
  };
  return backend;
}

function multiply(out: Dense, a: Dense, b: Dense, options: MultiplyOptions): void {
  const { transposeA = false, transposeB = false, alpha = 1, beta = 0 } = options;
  const [m, depth] = transposeA ? [a.cols, a.rows] : [a.rows, a.cols];
  const n = transposeB ? b.rows : b.cols;
  checkProductShapes(out, a, b, options);
  const [stepA, strideA] = transposeA ? [a.cols, 1] : [1, a.cols];
  const [stepB, strideB] = transposeB ? [1, b.cols] : [b.cols, 1];
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let k = 0; k < depth; k++) sum += a.data[i * strideA + k * stepA]! * b.data[k * stepB + j * strideB]!;
      out.data[i * n + j] = alpha * sum + (beta === 0 ? 0 : beta * out.data[i * n + j]!);
    }
  }
}

function leading({ rows, cols, data }: Dense, rank: number): Float32Array {
  const out = new Float32Array(rows * rank);
  for (let i = 0; i < rows; i++) out.set(data.subarray(i * cols, i * cols + rank), i * rank);
  return out;
}

/** Yields to the event loop, so that timers and aborts take effect between sweeps. */
function betweenSweeps(subject: string, { signal, progress }: RoutineOptions): (share: number) => Promise<void> {
  throwIfCancelled(signal, subject);
  return async (share) => {
    await nextTurn();
    throwIfCancelled(signal, subject);
    progress?.(share);
  };
}
