import type { RowSource } from '../devices/backend.ts';
import type { Place } from './findings.ts';
import type { Role } from './names/roles.ts';

/** Where a matrix sits in the network, and what it does there. */
export interface NetworkPlace extends Place {
  readonly role: Role;
}

/** The rows from which the singular values of a matrix are computed. */
export interface MatrixRows extends RowSource {
  /** Of a Kronecker product: the singular values of its other factor. Every value of the matrix is a product of one of each. */
  readonly spread?: (signal: AbortSignal | undefined) => Promise<Float64Array>;
}

/** What all kinds of matrices have in common. */
export interface MatrixBase extends NetworkPlace {
  /** The tensor's name; `name[3]` for a slice of a stack. */
  readonly name: string;
  /** The name of the whole tensor. */
  readonly tensorName: string;
  readonly dtype: string;
  /** [out, in] = [m, n], however it is stored. */
  readonly shape: readonly [number, number];
  /** Size of `source()`, up to factors that are known to be small. */
  readonly rows: number;
  readonly cols: number;
  /** Stored size in bytes of each element, on average. */
  readonly bytesPerElement: number;
  /** Why this matrix can be looked at but not be replaced by factors in a PyTorch model; null where it can. */
  readonly fixed: string | null;

  /** All that its numbers depend on, as plain data: files as they were, places in them, and how these are read. */
  identity(): readonly unknown[];
  source(): MatrixRows;
  /** The standard deviation of the error that quantization left in its elements; undefined where there is none, or nothing can be said. */
  deviation(signal: AbortSignal | undefined): Promise<number | undefined>;
}
