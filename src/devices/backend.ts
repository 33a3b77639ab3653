import type { DeviceInfo } from '../base/deviceInfo.ts';
import type { Encoding } from '../base/encoding.ts';
import type { SingularTriplets } from '../base/singularTriplets.ts';

/** Rows of an m x n matrix on demand, decoded to f32: how weights reach a device without being held elsewhere. */
export interface RowSource {
  /** What errors call the matrix: its tensor's name. */
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  /** Fills `out` with the whole rows from `row` on; `out.length` is a multiple of `cols`. */
  read(row: number, out: Float32Array, signal?: AbortSignal): Promise<void>;
  /** The same rows as they are stored, where a device can decode them; left out where only `read` knows their values. */
  readonly stored?: StoredRows | undefined;
}

export interface StoredRows {
  readonly encoding: Encoding;
  /** Fills `out` with the bytes of the whole rows from `row` on. */
  read(row: number, out: Uint8Array, signal?: AbortSignal): Promise<void>;
}

/** What decoding tells of the entries on the way. */
export interface EntrySums {
  /** Of their squares: in f64 on a processor, on a GPU to 1e-6 of it where the largest entry is between 2^-40 and 2^40. */
  readonly squares: number;
  /** The largest magnitude; NaN where an entry is NaN or infinite. */
  readonly largest: number;
}

/** A dense row-major f32 matrix in the memory of a device. Only the backend that made it can use it. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
}

export interface MultiplyOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  /** Default 1. */
  readonly alpha?: number;
  /** Default 0, which overwrites: the old content, NaN included, does not matter. */
  readonly beta?: number;
}

export interface RoutineOptions {
  /** Checked at least every 100 ms of work; an aborted routine throws `cancelled` and leaves the backend usable. */
  readonly signal?: AbortSignal | undefined;
  /** Share of the routine's work done, in [0, 1]. */
  readonly progress?: ((share: number) => void) | undefined;
}

/**
 * Matrix arithmetic on one device. Memory that a routine allocates may be dirty. Every routine either gives its result or throws a
 * RankscopeError ('too-large' before memory is taken, 'engine' when the device fails, 'cancelled').
 */
export interface Backend {
  readonly info: DeviceInfo;

  /** Content undefined until written. @throws 'too-large' with the bytes wanted and the bytes to be had. */
  allocate(rows: number, cols: number): Promise<Matrix>;
  free(matrix: Matrix): void;
  /** Lets `fill` write `rows` whole rows from `row` on, straight into device memory where that is possible. */
  upload(matrix: Matrix, row: number, rows: number, fill: (out: Float32Array) => Promise<void> | void): Promise<void>;
  /** Lets `fill` write the bytes of `rows` whole rows from `row` on as they are stored; the device makes f32 of them. */
  uploadStored(
    matrix: Matrix,
    row: number,
    rows: number,
    encoding: Encoding,
    fill: (out: Uint8Array) => Promise<void> | void,
  ): Promise<EntrySums>;
  download(matrix: Matrix): Promise<Float32Array>;

  /** out = alpha op(a) op(b) + beta out; `out` must not overlap the operands. */
  multiply(out: Matrix, a: Matrix, b: Matrix, options?: MultiplyOptions): Promise<void>;

  /**
   * Thin QR of an m x n matrix, m >= n: `a` becomes Q (orthonormal columns, also for a rank-deficient a); gives R (n x n, upper
   * triangular) on the device.
   */
  orthonormalize(a: Matrix, options?: RoutineOptions): Promise<Matrix>;

  /** R alone of that QR (n x n, upper triangular); `a` is overwritten with anything. */
  triangularize(a: Matrix, options?: RoutineOptions): Promise<Matrix>;

  /** All min(m, n) singular values, descending; `a` is overwritten with anything. Accurate to c eps sqrt(max(m, n)) sigma_1. */
  singularValues(a: Matrix, options?: RoutineOptions): Promise<Float64Array>;

  /** The `rank` leading singular triplets by the exact route; `a` is overwritten with anything. */
  svd(a: Matrix, rank: number, options?: RoutineOptions): Promise<SingularTriplets>;

  /** Gives back threads and device memory; pending routines fail with 'engine'. */
  close(): Promise<void>;
}
