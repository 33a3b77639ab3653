/**
 * What a text tells about the matrices of a network, as a plan keeps it: how much of W X each rank loses, and how far
 * one cut moves the predictions of the network.
 */
import type { StatisticsKind } from '../activations.ts';

export interface Sensitivities {
  /** The text over which the inputs X were seen. */
  readonly inputs: {
    readonly kind: StatisticsKind;
    /** Its name; null if the file of statistics does not say. */
    readonly text: string | null;
    /** Tokens that passed the network; null if the file does not say. */
    readonly tokens: number | null;
  };
  /** The text on which divergences were measured; absent if none were. */
  readonly divergences?: {
    readonly text: string;
    readonly tokens: number;
    /** Matrices whose divergence was measured, alone or with the other experts of their layer and role. */
    readonly measured: number;
    /** Matrices whose divergence was filled in from neighbouring layers, for want of time. */
    readonly filledIn: number;
    readonly seconds: number;
  };
  readonly matrices: readonly Sensitivity[];
  /** Groups that may share a factor; absent if none may. */
  readonly groups?: readonly GroupSensitivity[];
}

/** What the matrices of a group keep of their W X together where they share a factor A. */
export interface GroupSensitivity {
  readonly name: string;
  /** The names of the matrices in the plan. */
  readonly members: readonly string[];
  /**
   * The root of what each rank adds to the energy that is kept, with each W X scaled to as much energy as the matrix
   * has entries; as many as the break-even rank of the stack.
   */
  readonly singularValues: readonly number[];
  /** The energy that is lost at the last of them. */
  readonly rest: number;
}

export interface Sensitivity {
  /** The name of the matrix in the plan. */
  readonly name: string;
  /** Tokens that reached it; null if the statistics do not say. */
  readonly tokens: number | null;
  /** Singular values of W X, descending, as many as the break-even rank of two factors. */
  readonly singularValues: readonly number[];
  /** The sum of the squares of the others. */
  readonly rest: number;
  readonly divergence?: Divergence;
}

/** KL(dense || cut) of the predictions, where W' = U_k U_k^T W stands for W, with U_k the left vectors of W X. */
export interface Divergence {
  /** Mean over the positions, in nats. */
  readonly value: number;
  /** k, a tenth of the break-even rank. */
  readonly rank: number;
  /** The energy that is lost there: the sum of sigma_i(W X)^2 for i > k. */
  readonly tail: number;
  /**
   * `matrix`: it was cut alone. `role`: all experts of its layer and role were cut, and this is its share by energy
   * lost. `neighbours`: it was filled in between the layers that were measured, geometrically, within its role.
   */
  readonly from: 'matrix' | 'role' | 'neighbours';
}
