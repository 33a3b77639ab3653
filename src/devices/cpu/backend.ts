// Why the kernels are our own: no library computes singular values fast, on every platform and without native code.
// ml-matrix and svd-js take more than 35 s for one 1024 x 1024 matrix. tfjs-backend-wasm stays on one thread in Node,
// at 14 GFLOP/s. onnxruntime-node is fast at products (73 GFLOP/s on one thread) but has no SVD operator, and `run()`
// blocks its thread. tfjs-node has one, in a native library that is not built for every platform and Node. The kernels
// are written in AssemblyScript, so npm alone builds them and the same file runs everywhere, at 30 to 70 GFLOP/s per
// core. A BLAS that is on the machine takes the larger products where it is faster: with AVX-512 it reaches 170. They
// run on worker threads over one shared memory: nothing is copied between threads, and a cancelled routine stops within
// 100 ms.
import { cpus, totalmem } from 'node:os';
import type { DeviceInfo } from '../../base/deviceInfo.ts';
import { ENCODED_BYTES, type Encoding } from '../../base/encoding.ts';
import { RankscopeError } from '../../base/errors.ts';
import type { SingularTriplets } from '../../base/singularTriplets.ts';
import type {
  Backend,
  EntrySums,
  Lanes,
  Matrix,
  MatrixProduct,
  MultiplyOptions,
  RoutineOptions,
  TriangularizeOptions,
} from '../backend.ts';
import type { NetworkOperations } from '../networkOperations.ts';
import { checkProductShapes } from '../productShapes.ts';
import type { Blas } from './blas/blas.ts';
import { ARGUMENT_BYTES } from './blas/sgemm.ts';
import type { Work } from './job.ts';
import { compileKernels, instantiate, KERNEL_SETS, type KernelSet, type Kernels } from './kernels.ts';
import { Heap, SYNC, SYNC_BYTES } from './memory.ts';
import { cpuNetworkOperations } from './networkOperations.ts';
import { type Bidiagonal, type BidiagonalTriplets, bidiagonalTripletsRoom } from './routines/bidiagonal.ts';
import { collectSums, decodeHere, decodeRoom } from './routines/decode.ts';
import { type OrthonormalizeArgs, orthonormalizeRoom } from './routines/orthonormalize.ts';
import { block, multiplyAlone, type Product } from './routines/product.ts';
import { singularValuesRoom } from './routines/singularValues.ts';
import { svdRoom } from './routines/svd.ts';
import type { Stages } from './team.ts';
import { WorkerTeam } from './workerTeam.ts';

const KIND: Record<KernelSet, string> = {
  wide: 'WASM, relaxed SIMD in 256-bit registers',
  relaxed: 'WASM, relaxed SIMD',
  simd: 'WASM, SIMD',
};

/**
 * WASM kernels on `threads` worker threads over one shared memory. By default the memory may grow to all that 32 bits
 * address; tests force the small-memory paths with fewer pages.
 */
export function createCpuBackend(
  threads: number,
  { sets = KERNEL_SETS, maximumPages, blas }: CpuOptions = {},
): CpuBackend {
  const heap = new Heap(maximumPages);
  const { module, set } = compileKernels(sets);
  const kernels = blas ? `${blas.name} and ${KIND[set]}` : KIND[set];
  const device = `${cpus()[0]?.model.trim() || process.arch} (${kernels})`;
  const info = { name: 'cpu', device, threads, reason: '' };
  return new CpuBackend({ heap, module, blas }, threads, SYNC, info);
}

export interface CpuOptions {
  /** The kernels to try, fastest first. */
  readonly sets?: readonly KernelSet[];
  readonly maximumPages?: number | undefined;
  /** Takes the larger products, if there is one. */
  readonly blas?: Blas | undefined;
}

/** What a device shares with its lanes. */
interface Machine {
  readonly heap: Heap;
  readonly module: WebAssembly.Module;
  readonly blas: Blas | undefined;
}

/** Up to this many multiplications take the calling thread half a millisecond: waking others takes as long. */
const FEW_PRODUCTS = 2 ** 20;

/** Up to this many numbers are decoded on the calling thread: waking the others would take as long. */
const FEW = 2 ** 16;

/** A matrix without padding in the shared memory. */
class CpuMatrix implements Matrix {
  constructor(
    readonly owner: CpuBackend,
    readonly rows: number,
    readonly cols: number,
    readonly at: number,
  ) {}
}

export class CpuBackend implements Backend {
  readonly capacity: number;
  readonly network: NetworkOperations;
  /** For work that is too small to share. */
  private readonly kernels: Kernels;
  /** Of products on this thread. */
  private readonly scratch: number;
  private readonly team: WorkerTeam;
  private readonly heap: Heap;
  private readonly alive = new Set<Matrix>();

  private readonly started: CpuBackend[] = [];

  /** @param sync address of the words at which the threads meet */
  constructor(
    private readonly machine: Machine,
    readonly threads: number,
    sync: number,
    readonly info: DeviceInfo,
  ) {
    const { heap, module, blas } = machine;
    this.heap = heap;
    this.kernels = instantiate(module, heap.memory);
    this.scratch = heap.allocate(this.kernels.gemmScratch(), 'cpu');
    const scratch = Array.from({ length: threads }, () => ({
      panels: heap.allocate(this.kernels.gemmScratch(), 'cpu'),
      call: heap.allocate(ARGUMENT_BYTES, 'cpu'),
    }));
    this.team = new WorkerTeam(module, heap.memory, sync, scratch, blas);
    this.capacity = Math.min(this.heap.limit, totalmem());
    this.network = cpuNetworkOperations({
      threads,
      heap: this.heap,
      kernels: this.kernels,
      at: (matrix) => this.own(matrix).at,
      withRoom: (...room) => this.withRoom(...room),
      run: (...work) => this.run(...work),
    });
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

  /** F32 is read into its place; the bytes of other encodings go through a buffer. */
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
    return this.withRoom(staged + decodeRoom(count), 'decoding', async (room) => {
      const source = encoding === 'F32' ? out : room;
      await fill(this.heap.bytes(source, bytes));
      const args = { encoding, count, source, out, room: room + staged };
      if (count <= FEW) decodeHere(this.kernels, args);
      else await this.run({ routine: 'decode', args }, 'decode');
      return collectSums(this.heap.memory, args);
    });
  }

  async download(matrix: Matrix, into?: Float32Array): Promise<Float32Array> {
    const { at, rows, cols } = this.own(matrix);
    const values = this.heap.floats(at, rows * cols);
    if (!into) return new Float32Array(values);
    into.set(values);
    return into;
  }

  multiply(out: Matrix, a: Matrix, b: Matrix, { signal, ...form }: MultiplyOptions = {}): Promise<void> {
    return this.multiplyInTurn([{ out, a, b, ...form }], { signal });
  }

  async multiplyInTurn(
    products: readonly MatrixProduct[],
    { signal }: Pick<MultiplyOptions, 'signal'> = {},
  ): Promise<void> {
    const args = products.map((product) => this.placed(product));
    if (args.reduce((sum, { m, n, k }) => sum + m * n * k, 0) > FEW_PRODUCTS)
      await this.run({ routine: 'multiply', args }, 'multiply', { signal });
    else for (const product of args) multiplyAlone(this.kernels, this.scratch, product);
  }

  async orthonormalize(a: Matrix, options: RoutineOptions = {}): Promise<Matrix> {
    return this.factor(a, { keepQ: true, onTriangle: false }, options);
  }

  async triangularize(a: Matrix, options: TriangularizeOptions = {}): Promise<Matrix> {
    return this.factor(a, { keepQ: false, onTriangle: options.onTriangle ?? false }, options);
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

  /** All singular values, descending, of an upper bidiagonal matrix from another device. */
  async bidiagonalValues({ diagonal, superdiagonal }: Bidiagonal, options: RoutineOptions = {}): Promise<Float64Array> {
    const args = { diagonal, superdiagonal };
    return (await this.run({ routine: 'bidiagonalValues', args }, 'singularValues', options)) as Float64Array;
  }

  /** The `rank` leading triplets of such a matrix. */
  async bidiagonalTriplets(
    { diagonal, superdiagonal }: Bidiagonal,
    rank: number,
    options: RoutineOptions = {},
  ): Promise<BidiagonalTriplets> {
    const n = diagonal.length;
    const triplets = await this.withRoom(
      bidiagonalTripletsRoom(n, rank, this.threads),
      `${rank} vectors of ${n}`,
      (room) =>
        this.run({ routine: 'bidiagonalTriplets', args: { diagonal, superdiagonal, rank, room } }, 'svd', options),
    );
    return triplets as BidiagonalTriplets;
  }

  get lanes(): Lanes | undefined {
    const { threads, machine } = this;
    if (threads === 1 || machine.blas?.threading === 'library') return undefined;
    return { count: threads, at: (lane) => (this.started[lane] ??= this.startLane(lane)) };
  }

  /** Milliseconds in each stage of the last decomposition. */
  get stages(): Stages {
    return this.team.lastStages;
  }

  async close(): Promise<void> {
    await Promise.all([this, ...Object.values(this.started)].map(({ team }) => team.close()));
  }

  private startLane(lane: number): CpuBackend {
    return new CpuBackend(this.machine, 1, SYNC + (lane + 1) * SYNC_BYTES, this.info);
  }

  private async factor(
    a: Matrix,
    how: Pick<OrthonormalizeArgs, 'keepQ' | 'onTriangle'>,
    options: RoutineOptions,
  ): Promise<Matrix> {
    const { at, rows, cols } = this.own(a);
    if (rows < cols) throw misuse(`a QR of a wide ${rows} x ${cols} matrix`);
    const triangle = this.take(cols, cols, 'R');
    try {
      const bytes = orthonormalizeRoom({ rows, cols, ...how }, this.threads);
      await this.withRoom(bytes, `QR of ${rows} x ${cols}`, (room) => {
        const args = { at, rows, cols, triangle: triangle.at, ...how, room };
        return this.run({ routine: 'orthonormalize', args }, how.keepQ ? 'orthonormalize' : 'triangularize', options);
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
    throw misuse('a matrix that was freed or belongs to another device');
  }

  /** Where a product finds its operands. */
  private placed({ out, a, b, ...form }: MatrixProduct): Product {
    checkProductShapes(out, a, b, form);
    if (out === a || out === b) throw misuse('a product that overwrites an operand');
    const [m, k] = form.transposeA ? [a.cols, a.rows] : [a.rows, a.cols];
    const place = (matrix: Matrix) => block(this.own(matrix).at, matrix.cols);
    return { ...form, m, n: out.cols, k, a: place(a), b: place(b), c: place(out) };
  }

  /** The address of a row. @throws where the rows are not in the matrix */
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

const misuse = (found: string) => new RankscopeError('wrong-use', 'cpu', `was asked for ${found}`);
