import { ENCODED_BYTES, encodingOf } from '../base/encoding.ts';
import { elementCount } from '../base/shape.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import type { StoredRows } from '../devices/backend.ts';
import type { StackKind, StoredLayout } from './layout/layout.ts';
import { isContiguous, readPermuted } from './layout/permutedRows.ts';
import type { MatrixBase, MatrixRows, NetworkPlace } from './matrixBase.ts';
import type { Role } from './names/roles.ts';

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
    readonly layout: StoredLayout,
    { stack, layer, module, role, expert }: NetworkPlace,
    readonly fixed: string | null,
  ) {
    const { rows, cols, transposed, indices } = layout;
    this.name = tensor.name + suffix(indices);
    if (stack !== undefined) this.stack = stack;
    this.layer = layer;
    // A layer has a place of its own.
    this.module = module + suffix(indices, 'layer');
    this.role = role;
    this.expert = expert;
    this.shape = transposed ? [cols, rows] : [rows, cols];
    this.rows = rows;
    this.cols = cols;
    this.transposed = transposed;
    this.offset = layout.offset;
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
    const { pieces, pieceStride, rowStride } = this.layout;
    const order = isContiguous(this.layout) ? [] : [pieces, pieceStride, rowStride];
    return [file, storage, dtype, this.rows, this.cols, this.offset, ...order];
  }

  /**
   * The rows as they are stored: those of a transposed matrix are its transpose, which has the same singular values.
   */
  source(): MatrixRows {
    const { name, tensor, rows, cols, offset, layout } = this;
    return {
      name,
      rows,
      cols,
      ...(isContiguous(layout)
        ? { read: (row, out, signal) => tensor.read(offset + row * cols, out, signal), stored: this.storedRows() }
        : { read: (row, out, signal) => readPermuted(tensor, layout, row, out, signal) }),
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

/** `[3]` for each index, leaving out those of a kind. */
function suffix(indices: StoredLayout['indices'], leftOut?: StackKind): string {
  let text = '';
  for (const [kind, index] of indices) if (kind !== leftOut) text += `[${index}]`;
  return text;
}
