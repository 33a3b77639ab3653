import type { Pause } from '../../base/eventLoop.ts';
import type { Backend } from '../../devices/backend.ts';
import type { Block } from '../blocks/block.ts';
import type { BlockNorm } from '../configuration/architectures.ts';
import type { Network } from '../network.ts';
import type { Norm } from '../operations/norm.ts';
import type { Rows } from '../operations/rows.ts';
import type { Factors } from '../variant.ts';

/** What a block reads and what it should give, in batches: a step passes one batch, such as four windows of 512. */
export interface RefinementRows {
  /** Lengths of the windows in each batch. */
  readonly lengths: readonly (readonly number[])[];
  /** The residual stream of the compressed network before the block, for each batch. */
  readonly inputs: readonly Rows[];
  /** What the dense network's block gives for the dense network's stream, in the same shape. */
  readonly targets: readonly Rows[];
}

export interface RefinementRequest extends RefinementRows {
  readonly network: Network;
  readonly backend: Backend;
  readonly layer: number;
  /** The dense block in device memory, which stays as it is. */
  readonly block: Block;
  /** What replaces its layers, by the names of their modules (`Linear.name`); these are not written to. */
  readonly factors: ReadonlyMap<string, Factors>;
  /** Windows that are not trained on: they say which step was best, and whether anything was gained. */
  readonly heldOut: RefinementRows;
  readonly steps: number;
  /** Of Adam: it rises over the first eighth of the steps and falls along half a cosine. */
  readonly rate: number;
  readonly signal?: AbortSignal | undefined;
  /** Lets others use the device; awaited at least every 100 ms. */
  readonly pause?: Pause | undefined;
  readonly progress?: ((step: RefinementStep) => void) | undefined;
}

/** Losses are means over tokens of ||y - target||^2 / ||target||^2, y what the block gives (`blockLoss.ts`). */
export interface RefinementStep {
  /** Steps taken so far. */
  readonly step: number;
  readonly steps: number;
  /** On the batch of the step, before it. */
  readonly loss: number;
  /** On the held-out windows, behind the step; absent where it was not measured. */
  readonly heldOut?: number | undefined;
}

export interface Refinement {
  /** Those of the best step, balanced: column k of b and row k of a have equal norms. */
  readonly factors: ReadonlyMap<string, Factors>;
  /** All norms of the block that were trained, in the form of `Block.norms`: with the decoder's offset added. */
  readonly norms: Readonly<Partial<Record<BlockNorm, Norm>>>;
  readonly losses: readonly RefinementStep[];
  /** The held-out loss of the given factors. */
  readonly before: number;
  /** The held-out loss of the result; never above `before`. */
  readonly after: number;
  /** Whether a step was better; otherwise the result has the given factors and the block's own norms. */
  readonly kept: boolean;
  /** Why nothing was kept, one clause. */
  readonly reason?: string | undefined;
}
