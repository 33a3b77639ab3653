/** How much worse a network predicts a text after compression, as plain data that crosses every boundary. */

import type { DeviceInfo, DeviceRequest } from '../base/deviceInfo.ts';
import type { CheckpointSummary } from './findings.ts';
import type { Plan } from './plan/plan.ts';

/** A text, and how it is cut into windows. */
export interface TextRequest {
  /** A file of text in UTF-8; it may be left out if `ids` is given. */
  readonly text?: string;
  /** A file of token ids, in place of encoding the text with the tokenizer of the checkpoint. */
  readonly ids?: string;
  /** Tokens of a window; by default those of the model's context, at most 2048. */
  readonly context?: number;
  /** The most tokens to use, rounded down to whole windows; all by default. */
  readonly tokens?: number;
}

export interface EvaluateRequest extends TextRequest, DeviceRequest {
  readonly path: string;
  /** Each is evaluated as `apply` would write it; `name` is what results call it. */
  readonly plans?: readonly { readonly name: string; readonly plan: Plan }[];
  /** The same rank for every matrix that a plan cuts by default, once for each of these. */
  readonly ranks?: readonly number[];
  /** Statistics of the inputs, on which plans and ranks are truncated, as `apply` does with a calibration. */
  readonly activations?: string;
  /** Other checkpoints of the same network, such as factorized ones. */
  readonly files?: readonly string[];
}

/** What became of a text. */
export interface TextFacts {
  /** Name of its file. */
  readonly name: string;
  /** Tokens of the whole text, without start tokens. */
  readonly tokens: number;
  readonly windows: number;
  /** Tokens of a window, with its start token. */
  readonly context: number;
  /** Tokens whose prediction counts: all but the first of each window. */
  readonly scored: number;
  /** Tokens of the text that are in no window: beyond the limit, or too few at its end. */
  readonly dropped: number;
  /** The token in front of every window; null if the tokenizer adds none. */
  readonly startToken: number | null;
  /** What encoded it, for people. */
  readonly tokenizer: string;
}

/** Natural logarithms throughout. */
export interface Score {
  /** exp of `loss`. */
  readonly perplexity: number;
  /** Mean negative log likelihood of the scored tokens. */
  readonly loss: number;
  /** Standard error of `loss`: the deviation over the scored tokens, divided by the root of their number. */
  readonly lossError: number;
}

/** A variant beside the dense network, token by token, in the same windows. */
export interface Comparison {
  /** Mean over the scored tokens of the loss of the variant minus that of the dense network. */
  readonly difference: number;
  /** Standard error of `difference`. */
  readonly differenceError: number;
  /** KL(dense || variant) of the distributions of the next token, over the scored tokens. */
  readonly divergence: {
    readonly mean: number;
    readonly median: number;
    readonly q90: number;
    readonly q99: number;
    readonly max: number;
  };
  /** Share of the scored tokens at which both find the same token most likely. */
  readonly sameTop: number;
}

/** The size of a variant beside that of the dense network. */
export interface VariantSize {
  /** Of the matrices that may be cut, as `PlanTotals` counts them; null for a file, which does not name them. */
  readonly cut: {
    readonly parametersBefore: number;
    readonly parametersAfter: number;
    readonly keptShare: number;
  } | null;
  readonly parametersOfModel: number;
  readonly keptShareOfModel: number;
}

export interface VariantEvaluation extends Score, Comparison {
  /** `rank 16`, or the name of the plan or file. */
  readonly name: string;
  readonly kind: 'rank' | 'plan' | 'file';
  /** The rank of all its factors; null if they differ, or are not known. */
  readonly rank: number | null;
  readonly size: VariantSize;
  /** Relative error of the weights as `PlanTotals.error` counts it; null for a file. */
  readonly predictedError: number | null;
}

/** What `rankscope evaluate --json` prints, and what the script for transformers writes. */
export interface Evaluation {
  readonly format: 'rankscope.evaluation/1';
  readonly source: 'rankscope' | 'transformers';
  readonly checkpoint: CheckpointSummary;
  readonly text: TextFacts;
  readonly dense: Score;
  /** In the order in which they were asked for: ranks, plans, files. */
  readonly variants: readonly VariantEvaluation[];
  /** For transformers: its version as `name`, and the device that torch used. */
  readonly engine: DeviceInfo;
  readonly seconds: number;
  /** What to know about the numbers, one sentence each. */
  readonly notes: readonly string[];
}
