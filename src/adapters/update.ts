import type { Tensor } from '../checkpoint/tensor.ts';
import type { Stacked } from './pairs.ts';
import type { StoredUpdate } from './parts.ts';

/** What an adapter adds to one matrix: scale times a product that is kept as its factors. */
export interface Update {
  /** The adapted layer. */
  readonly target: string;
  /** The adapter's name if the file holds several. */
  readonly adapter?: string;
  /** The stack of experts that the layer belongs to. */
  readonly stack?: Stacked;
  readonly stored: StoredUpdate;
  /** The tensors in which it is stored. */
  readonly tensors: readonly Tensor[];
  /** [m, n], as the adapted weight has them. */
  readonly shape: readonly [number, number];
  /** The rank that the product cannot exceed, given its factors. */
  readonly rank: number;
  readonly scale: number;
  /** DoRA: the adapted matrix is rescaled to learned magnitudes afterwards, which the update alone does not show. */
  readonly dora: boolean;
}

/** Tensors of an adapter that do not form an update, with the reason. */
export interface RefusedUpdate {
  readonly target: string;
  readonly tensors: readonly Tensor[];
  readonly reason: string;
}
