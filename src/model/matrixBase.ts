import type { RowSource } from '../devices/backend.ts';
import type { Place } from './findings.ts';
import type { Role } from './names/roles.ts';

/** Where a matrix sits in the network, and its function there. */
export interface NetworkPlace extends Place {
  readonly role: Role;
  /** 0-based among the experts of its layer; null outside a mixture of experts and in its shared parts. */
  readonly expert: number | null;
}

/** The rows from which the singular values of a matrix are computed. */
export interface MatrixRows extends RowSource {
  /**
   * For a Kronecker product, the singular values of its other factor. Every value of the matrix is a product of one of
   * each.
   */
  readonly spread?: (signal: AbortSignal | undefined) => Promise<Float64Array>;
}

/** The common interface of all kinds of matrices. */
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
  /** Why factors cannot replace this matrix in a PyTorch model; null if they can. */
  readonly fixed: string | null;

  /**
   * Everything its values depend on, as plain data: the state of the files, positions in them, and how they are read.
   */
  identity(): readonly unknown[];
  source(): MatrixRows;
  /**
   * The standard deviation of the error that quantization left in its elements; undefined if there is none or it is
   * unknown.
   */
  deviation(signal: AbortSignal | undefined): Promise<number | undefined>;
}
