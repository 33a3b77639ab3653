import { ENCODED_BYTES, encodingOf } from '../base/encoding.ts';
import { elementCount } from '../base/shape.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import type { StoredRows } from '../devices/backend.ts';
import type { MatrixBase, MatrixRows, NetworkPlace } from './matrixBase.ts';
import type { Role } from './names/roles.ts';

/** How a tensor, or a slice of one, is stored as a matrix. */
export interface StoredLayout {
  /** Rows as stored; a convolution is (out, in * kernel). */
  readonly rows: number;
  readonly cols: number;
  /** Stored as (in, out): `rows` x `cols` is then n x m. */
  readonly transposed: boolean;
  /** The slice of a stack; undefined for a whole tensor. */
  readonly slice: number | undefined;
}

/** A tensor, or a slice of one, seen as a matrix. */
export class StoredMatrix implements MatrixBase {
  readonly kind = 'stored';
  readonly name: string;
  readonly stack?: string;
  readonly layer: number | null;
  readonly module: string;
  readonly role: Role;
  readonly expert: number | null;
  readonly shape: readonly [number, number];
  readonly rows: number;
  readonly cols: number;
  readonly transposed: boolean;
  /** Its start in the tensor, in elements. */
  readonly offset: number;

  constructor(
    readonly tensor: Tensor,
    { rows, cols, transposed, slice }: StoredLayout,
    { stack, layer, module, role, expert }: NetworkPlace,
    readonly fixed: string | null,
  ) {
    const suffix = slice === undefined ? '' : `[${slice}]`;
    this.name = tensor.name + suffix;
    if (stack !== undefined) this.stack = stack;
    this.layer = layer;
    this.module = module + suffix;
    this.role = role;
    this.expert = expert;
    this.shape = transposed ? [cols, rows] : [rows, cols];
    this.rows = rows;
    this.cols = cols;
    this.transposed = transposed;
    this.offset = (slice ?? 0) * rows * cols;
  }

  get tensorName(): string {
    return this.tensor.name;
  }

  get dtype(): string {
    return this.tensor.dtype;
  }

  get bytesPerElement(): number {
    return this.tensor.bytes / elementCount(this.tensor.shape);
  }

  identity(): readonly unknown[] {
    const { file, storage, dtype } = this.tensor;
    return [file, storage, dtype, this.rows, this.cols, this.offset];
  }

  /**
   * The rows as they are stored: those of a transposed matrix are its transpose, which has the same singular values.
   */
  source(): MatrixRows {
    const { name, tensor, rows, cols, offset } = this;
    return {
      name,
      rows,
      cols,
      read: (row, out, signal) => tensor.read(offset + row * cols, out, signal),
      stored: this.storedRows(),
    };
  }

  async deviation(signal: AbortSignal | undefined): Promise<number | undefined> {
    return this.tensor.deviation?.(this.offset, this.rows * this.cols, signal);
  }

  /** The rows as stored bytes for devices that decode them; undefined if only the reader can (blocks, strides). */
  private storedRows(): StoredRows | undefined {
    const { tensor, cols, offset } = this;
    const encoding = encodingOf(tensor.dtype);
    if (!encoding || !tensor.readStored) return undefined;
    const size = ENCODED_BYTES[encoding];
    return {
      encoding,
      async read(row, out, signal) {
        await tensor.readStored!((offset + row * cols) * size, out, signal);
      },
    };
  }
}
