import { cpus } from 'node:os';
import type { DeviceInfo } from '../../base/deviceInfo.ts';
import { ENCODED_BYTES, type Encoding } from '../../base/encoding.ts';
import { RankscopeError } from '../../base/errors.ts';
import type { SingularTriplets } from '../../base/singularTriplets.ts';
import type { Backend, EntrySums, Matrix, MultiplyOptions, RoutineOptions } from '../backend.ts';
import type { Work } from './job.ts';
import { compileKernels, instantiate, KERNEL_SETS, type KernelSet, type Kernels } from './kernels.ts';
import { Heap } from './memory.ts';
import { type Bidiagonal, type BidiagonalTriplets, bidiagonalTripletsRoom } from './routines/bidiagonal.ts';
import { collectSums, decodeHere, decodeRoom } from './routines/decode.ts';
import { orthonormalizeRoom } from './routines/orthonormalize.ts';
import { block } from './routines/product.ts';
import { singularValuesRoom } from './routines/singularValues.ts';
import { svdRoom } from './routines/svd.ts';
import { WorkerTeam } from './workerTeam.ts';

const KIND: Record<KernelSet, string> = {
  wide: 'WASM, relaxed SIMD in 256-bit registers',
  relaxed: 'WASM, relaxed SIMD',
  simd: 'WASM, SIMD',
};

/**
 * The cpu engine: WASM kernels on `threads` worker threads over one shared memory, of as many pages as 32 bits address; tests force the
 * small-memory paths with fewer.
 */
export function createCpuBackend(threads: number, sets = KERNEL_SETS, maximumPages?: number): CpuBackend {
  return new CpuBackend(threads, sets, new Heap(maximumPages));
}

/** Up to so many numbers are decoded by the thread that asks: waking the others takes as long. */
const FEW = 2 ** 16;

/** A packed matrix in the shared memory. */
class CpuMatrix implements Matrix {
  constructor(
    readonly owner: CpuBackend,
    readonly rows: number,
    readonly cols: number,
    readonly at: number,
  ) {}
}

export class CpuBackend implements Backend {
  readonly info: DeviceInfo;
  /** For what is too small for the pool. */
  private readonly kernels: Kernels;
  private readonly team: WorkerTeam;
  private readonly alive = new Set<Matrix>();

  constructor(
    readonly threads: number,
    sets: readonly KernelSet[],
    private readonly heap: Heap,
  ) {
    const { module, set } = compileKernels(sets);
    this.kernels = instantiate(module, this.heap.memory);
    const bytes = this.kernels.gemmScratch();
    const scratch = Array.from({ length: threads }, () => this.heap.allocate(bytes, 'cpu engine'));
    this.team = new WorkerTeam(module, this.heap.memory, scratch);
    const device = `${cpus()[0]?.model.trim() || process.arch} (${KIND[set]})`;
    this.info = { name: 'cpu', device, threads, reason: '' };
  }

  async allocate(rows: number, cols: number): Promise<Matrix> {
    return this.take(rows, cols, `a ${rows} x ${cols} matrix`);
  }

  free(matrix: Matrix): void {
    if (this.alive.delete(matrix)) this.heap.release((matrix as CpuMatrix).at);
  }

  async upload(
    matrix: Matrix,
    row: number,
    rows: number,
    fill: (out: Float32Array) => Promise<void> | void,
  ): Promise<void> {
    await fill(this.heap.floats(this.place(matrix, row, rows), rows * matrix.cols));
  }

  /** The bytes of an encoding other than F32 go into room of their own first; F32 is read where it belongs. */
  async uploadStored(
    matrix: Matrix,
    row: number,
    rows: number,
    encoding: Encoding,
    fill: (out: Uint8Array) => Promise<void> | void,
  ): Promise<EntrySums> {
    const out = this.place(matrix, row, rows);
    const count = rows * matrix.cols;
    const bytes = count * ENCODED_BYTES[encoding];
    const staged = encoding === 'F32' ? 0 : Math.ceil(bytes / 8) * 8;
    return this.withRoom(staged + decodeRoom(count), 'bytes to decode', async (room) => {
      const source = encoding === 'F32' ? out : room;
      await fill(this.heap.bytes(source, bytes));
      const args = { encoding, count, source, out, room: room + staged };
      if (count <= FEW) decodeHere(this.kernels, args);
      else await this.run({ routine: 'decode', args }, 'decode');
      return collectSums(this.heap.memory, args);
    });
  }

  async download(matrix: Matrix): Promise<Float32Array> {
    const { at, rows, cols } = this.own(matrix);
    return new Float32Array(this.heap.floats(at, rows * cols));
  }

  async multiply(out: Matrix, a: Matrix, b: Matrix, options: MultiplyOptions = {}): Promise<void> {
    const { transposeA = false, transposeB = false, alpha = 1, beta = 0 } = options;
    const [m, k] = transposeA ? [a.cols, a.rows] : [a.rows, a.cols];
    const [inner, n] = transposeB ? [b.cols, b.rows] : [b.rows, b.cols];
    if (k !== inner || out.rows !== m || out.cols !== n) {
      throw misuse(`a product of ${m} x ${k} and ${inner} x ${n} into ${out.rows} x ${out.cols}`);
    }
    if (out === a || out === b) throw misuse('a product over one of its operands');
    const place = (matrix: Matrix) => block(this.own(matrix).at, matrix.cols);
    const args = { m, n, k, a: place(a), b: place(b), c: place(out), transposeA, transposeB, alpha, beta };
    await this.run({ routine: 'multiply', args }, 'multiply');
  }

  async orthonormalize(a: Matrix, options: RoutineOptions = {}): Promise<Matrix> {
    return this.factor(a, true, options);
  }

  async triangularize(a: Matrix, options: RoutineOptions = {}): Promise<Matrix> {
    return this.factor(a, false, options);
  }

  async singularValues(a: Matrix, options: RoutineOptions = {}): Promise<Float64Array> {
    const { at, rows, cols } = this.own(a);
    if (rows * cols === 0) return new Float64Array(0);
    return this.withRoom(singularValuesRoom(rows, cols, this.threads), `singular values of ${rows} x ${cols}`, (room) =>
      this.run({ routine: 'singularValues', args: { at, rows, cols, room } }, 'singularValues', options),
    ) as Promise<Float64Array>;
  }

  async svd(a: Matrix, rank: number, options: RoutineOptions = {}): Promise<SingularTriplets> {
    const { at, rows, cols } = this.own(a);
    if (!Number.isInteger(rank) || rank < 1 || rank > Math.min(rows, cols)) {
      throw misuse(`rank ${rank} of a ${rows} x ${cols} matrix`);
    }
    return this.withRoom(svdRoom(rows, cols, rank, this.threads), `rank ${rank} of ${rows} x ${cols}`, (room) =>
      this.run({ routine: 'svd', args: { at, rows, cols, rank, room } }, 'svd', options),
    ) as Promise<SingularTriplets>;
  }

  /** All singular values of an upper bidiagonal matrix that another device reduced a matrix to, descending. */
  async bidiagonalValues({ diagonal, superdiagonal }: Bidiagonal, options: RoutineOptions = {}): Promise<Float64Array> {
    const args = { diagonal, superdiagonal };
    return (await this.run({ routine: 'bidiagonalValues', args }, 'singularValues', options)) as Float64Array;
  }

  /** Its `rank` leading triplets. */
  async bidiagonalTriplets(
    { diagonal, superdiagonal }: Bidiagonal,
    rank: number,
    options: RoutineOptions = {},
  ): Promise<BidiagonalTriplets> {
    const n = diagonal.length;
    const triplets = await this.withRoom(bidiagonalTripletsRoom(n, rank), `${rank} vectors of ${n}`, (room) =>
      this.run({ routine: 'bidiagonalTriplets', args: { diagonal, superdiagonal, rank, room } }, 'svd', options),
    );
    return triplets as BidiagonalTriplets;
  }

  async close(): Promise<void> {
    await this.team.close();
  }

  private async factor(a: Matrix, keepQ: boolean, options: RoutineOptions): Promise<Matrix> {
    const { at, rows, cols } = this.own(a);
    if (rows < cols) throw misuse(`a QR of ${rows} x ${cols}, which is not tall`);
    const triangle = this.take(cols, cols, 'R');
    try {
      const bytes = orthonormalizeRoom(rows, cols, keepQ, this.threads);
      await this.withRoom(bytes, `QR of ${rows} x ${cols}`, (room) => {
        const args = { at, rows, cols, triangle: triangle.at, keepQ, room };
        return this.run({ routine: 'orthonormalize', args }, keepQ ? 'orthonormalize' : 'triangularize', options);
      });
      return triangle;
    } catch (error) {
      this.free(triangle);
      throw error;
    }
  }

  private take(rows: number, cols: number, subject: string): CpuMatrix {
    const matrix = new CpuMatrix(this, rows, cols, this.heap.allocate(rows * cols * 4, subject));
    this.alive.add(matrix);
    return matrix;
  }

  private own(matrix: Matrix): CpuMatrix {
    if (matrix instanceof CpuMatrix && matrix.owner === this && this.alive.has(matrix)) return matrix;
    throw misuse('a matrix of another engine, or one that was freed');
  }

  /** Address of a row. */
  private place(matrix: Matrix, row: number, rows: number): number {
    const { at, cols } = this.own(matrix);
    if (row < 0 || rows < 0 || row + rows > matrix.rows) throw misuse(`rows ${row} to ${row + rows} of ${matrix.rows}`);
    return at + row * cols * 4;
  }

  private async withRoom<Result>(
    bytes: number,
    subject: string,
    use: (room: number) => Promise<Result>,
  ): Promise<Result> {
    const room = this.heap.allocate(bytes, subject);
    try {
      return await use(room);
    } finally {
      this.heap.release(room);
    }
  }

  private run(work: Work, subject: string, options: RoutineOptions = {}): Promise<unknown> {
    return this.team.run(work, subject, options.signal, options.progress);
  }
}

const misuse = (found: string) => new RankscopeError('wrong-use', 'cpu engine', `was asked for ${found}`);
