import type { DeviceInfo } from '../base/deviceInfo.ts';
import type { Encoding } from '../base/encoding.ts';
import type { SingularTriplets } from '../base/singularTriplets.ts';
import type { Matrix } from './matrix.ts';
import type { NetworkOperations } from './networkOperations.ts';

export type { Matrix } from './matrix.ts';
export type * from './networkOperations.ts';

/** Rows of an m x n matrix on demand, decoded to f32, so that weights reach a device without being held elsewhere. */
export interface RowSource {
  /** The tensor's name, for errors. */
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  /** Fills `out` with whole rows from `row` on; `out.length` is a multiple of `cols`. */
  read(row: number, out: Float32Array, signal?: AbortSignal): Promise<void>;
  /** The same rows as stored, for devices to decode; absent where only `read` can compute their values. */
  readonly stored?: StoredRows | undefined;
}

export interface StoredRows {
  readonly encoding: Encoding;
  /** Fills `out` with the bytes of whole rows from `row` on. */
  read(row: number, out: Uint8Array, signal?: AbortSignal): Promise<void>;
}

/** Statistics of the entries, gathered while they are decoded. */
export interface EntrySums {
  /**
   * Sum of squares: in f64 on a processor; on a GPU to a relative 1e-6 if the largest entry is between 2^-40 and 2^40.
   */
  readonly squares: number;
  /** Largest magnitude; NaN if an entry is NaN or infinite. */
  readonly largest: number;
}

/**
 * A matrix whose sides have at least this ratio is cheaper to reduce after a QR of it (Chan, "An improved algorithm for
 * computing the singular value decomposition", ACM TOMS 1982).
 */
export const TALL = 1.6;

/** How a product is formed: out <- alpha op(a) op(b) + beta out. */
export interface ProductForm {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Default 1. */
  readonly alpha?: number;
  /** Default 0, which overwrites whatever `out` holds, even NaN. */
  readonly beta?: number;
}

export interface MultiplyOptions extends ProductForm {
  /** Checked at least every 100 ms on a processor, and before the product elsewhere. */
  readonly signal?: AbortSignal | undefined;
}

/** One of several products; `out` must not overlap the operands. */
export interface MatrixProduct extends ProductForm {
  readonly out: Matrix;
  readonly a: Matrix;
  readonly b: Matrix;
}

export interface RoutineOptions {
  /** Checked at least every 100 ms. An aborted routine throws 'cancelled' and leaves the backend usable. */
  readonly signal?: AbortSignal | undefined;
  /** Share of the routine's work done, in [0, 1]. */
  readonly progress?: ((share: number) => void) | undefined;
}

export interface TriangularizeOptions extends RoutineOptions {
  /**
   * Whether the first n rows are upper triangular, with zeros below their diagonal. A device may leave these out: with
   * p rows below, the QR then takes 2 n^2 p operations instead of 2 n^2 (p + 2 n / 3).
   */
  readonly onTriangle?: boolean;
}

/**
 * Devices of one thread each over the memory of another, which work side by side while that one rests: on many small
 * matrices, all threads together would often wait for each other. They are closed with it.
 */
export interface Lanes {
  /** At least 2. */
  readonly count: number;
  /** Started when it is first asked for. */
  at(lane: number): Backend;
}

/**
 * Matrix arithmetic on one device. Every routine either returns its result or throws a RankscopeError: 'too-large'
 * before memory is taken, 'engine' when the device fails, 'cancelled'.
 */
export interface Backend {
  readonly info: DeviceInfo;
  /** Bytes that all matrices may take together, at 4 an entry; infinite where that is not known. */
  readonly capacity: number;

  /** The content is undefined until written. @throws 'too-large' with the bytes wanted and the bytes available. */
  allocate(rows: number, cols: number): Promise<Matrix>;
  free(matrix: Matrix): void;
  /** Has `fill` write `rows` whole rows from `row` on, straight into device memory where possible. */
  upload(matrix: Matrix, row: number, rows: number, fill: (out: Float32Array) => Promise<void> | void): Promise<void>;
  /** Has `fill` write the stored bytes of `rows` whole rows from `row` on, which the device decodes to f32. */
  uploadStored(
    matrix: Matrix,
    row: number,
    rows: number,
    encoding: Encoding,
    fill: (out: Uint8Array) => Promise<void> | void,
  ): Promise<EntrySums>;
  /** A device may fill `into`, of as many entries, and return it, instead of a new array. */
  download(matrix: Matrix, into?: Float32Array): Promise<Float32Array>;

  /** out <- alpha op(a) op(b) + beta out. `out` must not overlap the operands. */
  multiply(out: Matrix, a: Matrix, b: Matrix, options?: MultiplyOptions): Promise<void>;

  /** The same for each of these in turn, which may use what those before it write; small ones cost less together. */
  multiplyInTurn(products: readonly MatrixProduct[], options?: Pick<MultiplyOptions, 'signal'>): Promise<void>;

  /**
   * Thin QR of an m x n matrix, m >= n: overwrites `a` with Q, whose columns are orthonormal even if `a` is
   * rank-deficient, and returns R (n x n, upper triangular).
   */
  orthonormalize(a: Matrix, options?: RoutineOptions): Promise<Matrix>;

  /** R alone of that QR. Destroys `a`. */
  triangularize(a: Matrix, options?: TriangularizeOptions): Promise<Matrix>;

  /** All min(m, n) singular values, descending, to within c eps sqrt(max(m, n)) sigma_1. Destroys `a`. */
  singularValues(a: Matrix, options?: RoutineOptions): Promise<Float64Array>;

  /** The `rank` leading singular triplets by the exact route. Destroys `a`. */
  svd(a: Matrix, rank: number, options?: RoutineOptions): Promise<SingularTriplets>;

  /** What a network computes beside products. */
  readonly network: NetworkOperations;

  /** Absent where the device does one thing at a time. */
  readonly lanes?: Lanes | undefined;

  /** Releases threads and device memory; pending routines fail with 'engine'. */
  close(): Promise<void>;
}
