/** A rank plan as plain data: the content of the file that the side bar edits and `rankscope apply` reads. */
import type { DenseRole } from '../names/roles.ts';
import type { Sensitivities } from './sensitivities.ts';

/**
 * How a budget is spread over matrices. From the weights alone: `optimal`, the least error; `uniform`, the same share
 * of parameters; `energy`, the same share of energy. From what a text does in the network: `activations`, the least
 * error of W X; `loss`, the least KL divergence from the dense network, as far as one measurement of each matrix tells.
 */
export type Spread = (typeof SPREADS)[number];

export const SPREADS = ['optimal', 'uniform', 'energy', 'activations', 'loss'] as const;

/** What a plan must meet; exactly one of these. */
export type Budget =
  /**
   * Share of the parameters to keep of what may be cut, in (0, 1]: without excluded matrices and those that are dense
   * by default, with those set by hand.
   */
  | { readonly kind: 'keep'; readonly value: number }
  /** Share of the squared singular values to keep in each matrix, in (0, 1]; no spread applies. */
  | { readonly kind: 'energy'; readonly value: number }
  /**
   * Relative Frobenius error allowed over all planned matrices together, as `PlanTotals.error` counts it, in [0, 1).
   */
  | { readonly kind: 'error'; readonly value: number }
  /** The same rank everywhere; no spread applies. */
  | { readonly kind: 'rank'; readonly value: number }
  /**
   * The rank max(1, floor(c min(m, n))) everywhere, with c in (0, 1]: what tutorials call the compression ratio of
   * `compress_model_svd`. It is no share of parameters: from c = max(m, n) / (m + n) on, the factors are larger than
   * the matrix, which then stays dense. No spread applies.
   */
  | { readonly kind: 'compressionRatio'; readonly value: number }
  /** Bytes that the whole model may take as `apply` writes it in the types of its source. */
  | { readonly kind: 'bytes'; readonly value: number }
  /** Multiply-adds that all matrices of the whole model may take for one token, or one position of a convolution. */
  | { readonly kind: 'multiplyAdds'; readonly value: number };

/** What some of the matrices get in place of what the rest of the request says. */
export interface PlanRule {
  /** A glob of the names of tensors. */
  readonly match: string;
  /** This rank; null keeps them dense, as a part of the totals. */
  readonly rank?: number | null;
  /** The highest rank with at most this share of the matrix's own parameters, in (0, 1]. */
  readonly keep?: number;
  /** The lowest rank that keeps this share of the matrix's own energy, in (0, 1]. */
  readonly energy?: number;
  readonly floor?: number;
  readonly multiple?: number;
}

export interface PlanRequest {
  readonly budget: Budget;
  readonly spread: Spread;
  /** Ranks are multiples of this, at least one: rounded down for a size or a rank, up for an energy or an error. */
  readonly multiple: number;
  /**
   * No rank is chosen below this share of a matrix's break-even rank, in [0, 1]; 0.3 for `loss` if absent, else 0.
   * Ranks set by hand may be lower.
   */
  readonly floor?: number;
  /** Globs of the names of tensors that stay dense and are not part of any total. */
  readonly exclude: readonly string[];
  /**
   * Which of the matrices that are dense by default may be cut as well: their kinds (`embedding`, `head`, `router`,
   * `position`, `norm`, `stem`) or globs of their names. None if absent.
   */
  readonly include?: readonly string[];
  /**
   * Ranks set by hand, by tensor name, which take precedence over exclusions and defaults; null keeps the matrix dense.
   */
  readonly overrides: Readonly<Record<string, number | null>>;
  /**
   * Rules for those without a rank set by hand. Of several that match, each setting comes from the last that has it,
   * where `rank`, `keep` and `energy` count as one. They cut nothing that is excluded or dense by default.
   */
  readonly rules?: readonly PlanRule[];
  /** 2: W = B A. 3: W = U S V. */
  readonly factors: 2 | 3;
  /** Which matrices may share their factor A, where that loses less than factors of their own; none if absent. */
  readonly share?: Share;
}

/** Takes two factors, a budget of a size or an error, and the spread `optimal` or `activations`. */
export interface Share {
  /** Whether matrices of a layer may share that read the same inputs: query, key and value; gate and up. */
  readonly inputs: boolean;
  /** Neighbouring layers that may share, at most; 1 for none. */
  readonly layers: number;
}

export interface PlannedMatrix {
  readonly name: string;
  readonly shape: readonly [number, number];
  /** null: stays dense, for the reason that follows. */
  readonly rank: number | null;
  readonly reason?: string;
  /**
   * The group with which it shares its factor A, which has this rank in all its matrices and is counted in
   * `parametersAfter` of the first. Each has the error of the whole group.
   */
  readonly shared?: string;
  /** What it is, if that is dense by default and could be included; two kinds for a tied embedding and head. */
  readonly kinds?: readonly DenseRole[];
  readonly parametersBefore: number;
  readonly parametersAfter: number;
  /**
   * Predicted relative Frobenius error ||W - W_r|| / ||W||; of a plan with sensitivities, ||(W - W_r) X|| / ||W X|| for
   * the best W_r of that rank on its inputs.
   */
  readonly error: number;
}

/**
 * Sums over what may be cut: all matrices except excluded ones, those that are dense by default and not included, and
 * those that no layer can hold as factors.
 */
export interface PlanTotals {
  readonly parametersBefore: number;
  readonly parametersAfter: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /**
   * Predicted relative Frobenius error over all planned matrices together, each scaled to the same mean square entry:
   * the root mean square of their relative errors, weighted by their parameters.
   */
  readonly error: number;
  /** parametersAfter / parametersBefore; 1 if nothing may be cut. */
  readonly keptShare: number;
  /** The same share for the whole model, with all that stays dense. */
  readonly keptShareOfModel: number;
  /** Bytes of the whole model as `apply` writes it in the types of its source; unknown in plans of older versions. */
  readonly bytesOfModel?: number;
  /** The same with nothing cut. */
  readonly bytesOfModelBefore?: number;
  /** Multiply-adds of all matrices of the model for one token; unknown in plans of older versions. */
  readonly multiplyAddsBefore?: number;
  readonly multiplyAddsAfter?: number;
}

/** The content of a plan file; its schema is media/schemas/plan.schema.json. */
export interface Plan {
  readonly format: 'rankscope.plan/1';
  /** The checkpoint the plan was made for; it is not applied to another. */
  readonly checkpoint: { readonly path: string; readonly parameters: number; readonly bytes: number };
  readonly request: PlanRequest;
  readonly matrices: readonly PlannedMatrix[];
  readonly totals: PlanTotals;
  /** What was measured for the spreads `activations` and `loss`; another budget is planned from it at no cost. */
  readonly sensitivities?: Sensitivities;
  /** Why the totals miss the budget, in one sentence; absent if they meet it. */
  readonly unmet?: string;
  /** What users must know before they apply it, one sentence each: such as that a tied head is cut. */
  readonly notes?: readonly string[];
}

/** The outcome of writing the factors of a plan. */
export interface FactorizedReport {
  readonly out: string;
  readonly parametersBefore: number;
  readonly parametersAfter: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Relative Frobenius error of all that the plan may cut, measured, as `PlanTotals.error` counts it. */
  readonly measuredError: number;
  /**
   * Per matrix: the relative Frobenius error that the plan predicted, and the one measured on the factors as written;
   * with a calibration, the relative error of what it makes of its inputs as truncated, null where these are not known.
   */
  readonly matrices: readonly {
    readonly name: string;
    readonly rank: number;
    readonly predictedError: number;
    readonly measuredError: number;
    readonly inputError?: number | null;
  }[];
}
