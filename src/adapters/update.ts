import type { Tensor } from '../checkpoint/tensor.ts';
import type { StoredUpdate } from './parts.ts';

/** What an adapter adds to one matrix: scale times a product that is held as its factors. */
export interface Update {
  /** The adapted layer. */
  readonly target: string;
  /** Of several adapters in one file, which one. */
  readonly adapter?: string;
  readonly stored: StoredUpdate;
  /** The tensors that it is stored in. */
  readonly tensors: readonly Tensor[];
  /** [m, n], as the adapted weight has them. */
  readonly shape: readonly [number, number];
  /** The rank that the product cannot exceed, given its factors. */
  readonly rank: number;
  readonly scale: number;
  /** DoRA: the adapted matrix is scaled to learned magnitudes afterwards, which the update alone does not show. */
  readonly dora: boolean;
}

/** Tensors of an adapter that make no update, and why. */
export interface RefusedUpdate {
  readonly target: string;
  readonly tensors: readonly Tensor[];
  readonly reason: string;
}
