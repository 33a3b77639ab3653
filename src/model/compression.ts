/** How a network was compressed with a text, and what it lost, as plain data that crosses every boundary. */

import type { DeviceInfo, DeviceRequest } from '../base/deviceInfo.ts';
import type { Comparison, Score, TextRequest } from './evaluation.ts';
import type { CheckpointSummary } from './findings.ts';
import type { SmokeTest } from './generation.ts';
import type { FactorizedReport, Plan, PlanTotals } from './plan/plan.ts';

/** Without a text and ids, the network continues itself from a few starts. */
export interface CompressRequest extends TextRequest, DeviceRequest {
  readonly path: string;
  /** Share of the parameters to keep of the matrices that a plan may cut, in (0, 1). */
  readonly keep: number;
  /** A second text, for measuring before and after; by default, windows of `text` that are used for nothing else. */
  readonly evaluate?: string;
  /** A plan by loss of this checkpoint: what was measured for it is used, and nothing is measured again. */
  readonly from?: Plan;
  /** Minutes that all of it may take: decides on the refinement and the measured losses. No limit by default. */
  readonly minutes?: number;
  /** Whether the factors and norms of each block are trained; true by default, where the time allows it. */
  readonly refine?: boolean;
  /** Steps of the refinement of each block; by default `REFINEMENT.steps`. */
  readonly steps?: number;
  /** Of Adam, at its height; by default `REFINEMENT.rate`. */
  readonly rate?: number;
  /** For sampling. */
  readonly seed?: number;
  /** The safetensors file to write. The plan and the report are written beside it. */
  readonly out: string;
  /** The Python file to write; no code is written by default. */
  readonly code?: string;
  /** Replaces existing files, which are an error otherwise. */
  readonly overwrite?: boolean;
  /** Whether the written file continues a prompt beside the dense network; true by default. */
  readonly smokeTest?: boolean;
}

/**
 * How a block is refined where nothing else is asked for, found on a language model of 135M. A block that gains nothing
 * is tried once more at a lower rate, which is `secondRate` times the first.
 */
export const REFINEMENT = { steps: 64, rate: 8e-4, secondRate: 0.3 } as const;

/** The steps of a compression, in their order. */
export const COMPRESSION_STAGES = ['text', 'plan', 'blocks', 'write', 'measure', 'smokeTest'] as const;
export type CompressionStage = (typeof COMPRESSION_STAGES)[number];

/** What a compression will take, said before it begins. */
export interface CompressionEstimate {
  /** By stage; those that take no time worth saying are left out. */
  readonly seconds: Readonly<Partial<Record<CompressionStage, number>>>;
  readonly secondsTotal: number;
  /** At the peak: one block with what refines it, and the activations of the text. */
  readonly memoryBytes: number;
  /** What is kept beside the result until it is complete. */
  readonly diskBytes: number;
  readonly schedule: CompressionSchedule;
  /** What the limit of time left out, and what users must know of the text, one sentence each. */
  readonly notes: readonly string[];
}

/** How much is done of what can be left out. */
export interface CompressionSchedule {
  /** Steps of the refinement of each block; 0 for none. */
  readonly steps: number;
  /** Seconds for measuring the loss that each cut matrix costs; null for no limit, 0 for none measured. */
  readonly measureSeconds: number | null;
}

/** What reports of progress carry beside a message. */
export interface CompressionProgress {
  /** Of the stage. */
  readonly done: number;
  readonly total: number;
  readonly message: string;
  readonly stage: CompressionStage;
  /** Of all stages together, once the rate is known. */
  readonly secondsLeft?: number;
  /** Before anything long begins, and again when the network has written the text itself. */
  readonly estimate?: CompressionEstimate;
  /** A block that is finished, by this run or an earlier one. */
  readonly block?: CompressedBlock;
  /** Blocks that an earlier run had finished, once they are counted. */
  readonly resumedBlocks?: number;
  /** A step of the refinement that is under way. */
  readonly step?: { readonly layer: number; readonly step: number; readonly loss: number };
}

/** What became of a block. Errors are squared, of the block's outputs, relative to those of the dense block. */
export interface CompressedBlock {
  readonly layer: number;
  /** Matrices that are factors now, and those that stayed dense though they might have been cut. */
  readonly cut: number;
  readonly dense: number;
  /** The loss at each step of the refinement, on the windows of that step; empty without a refinement. */
  readonly losses: readonly number[];
  /** On the held-out windows, after truncation; null if it was not measured. */
  readonly before: number | null;
  /** On the held-out windows, after refinement. */
  readonly after: number | null;
  /** Whether the refinement was kept. */
  readonly refined: boolean;
  /** Why it was not, in one sentence; null if it was, or none was asked for. */
  readonly reason: string | null;
  /** Of what its matrices make of their inputs; absent where none is cut, and in reports of scripts. */
  readonly inputErrors?: InputErrors;
  readonly seconds: number;
}

/** Relative errors of W X over several matrices: the root mean square, weighted by the matrices' parameters. */
export interface InputErrors {
  /** As the plan predicts it: ||(W - W_r) X|| / ||W X|| on the inputs of the dense network. */
  readonly predicted: number;
  /**
   * As truncated: ||W X - W' X'|| / ||W X|| on the inputs X' that the compressed network gives, with the errors of all
   * before. On tokens of the calibration text; null if none reached the matrices.
   */
  readonly measured: number | null;
}

/** Windows of a text with one purpose; no window has two. */
export interface WindowShare {
  readonly windows: number;
  /** With start tokens. */
  readonly tokens: number;
}

/** The text that a network was compressed with. */
export interface CompressionText {
  /** Name of its file; null if the network wrote it itself. */
  readonly name: string | null;
  /** How the network wrote it; null for a file. */
  readonly sampled: { readonly starts: number; readonly temperature: number; readonly seed: number } | null;
  /** Of its tokens, so that the same text is recognized: SHA-256 in hex. */
  readonly digest: string;
  /** Of the whole text. */
  readonly tokens: number;
  /** Tokens of a window, with its start token. */
  readonly context: number;
  readonly startToken: number | null;
  readonly tokenizer: string;
  /** Statistics and refinement read these. */
  readonly calibration: WindowShare;
  /** Decide whether the refinement of a block is kept. */
  readonly heldOut: WindowShare;
  /** Never used for the compression. */
  readonly unseen: WindowShare;
  readonly dropped: number;
}

/** The network before and after. */
export interface BeforeAndAfter {
  /** What was read, for people. */
  readonly text: string;
  readonly windows: number;
  readonly scored: number;
  readonly dense: Score;
  readonly compressed: Score & Comparison;
}

/** How it was done. */
export interface CompressionMethod {
  /** What spread the ranks. */
  readonly spread: 'activations' | 'loss';
  /** Matrices whose cost in loss was measured, and those whose was filled in. */
  readonly measured: number;
  readonly filledIn: number;
  /** Tokens on which it was measured. */
  readonly measureTokens: number;
  /** Added to the second moments, in units of their mean diagonal. */
  readonly ridge: number;
  /** Null without a refinement. */
  readonly refinement: { readonly steps: number; readonly rate: number } | null;
  readonly seed: number;
}

/** What `rankscope compress --json` prints, and what is written beside the result. */
export interface CompressionReport {
  readonly format: 'rankscope.compression/1';
  /** Who computed it: a script of `--python`; absent for the engine. */
  readonly source?: 'transformers';
  readonly checkpoint: CheckpointSummary;
  readonly out: string;
  readonly planFile: string;
  readonly code: string | null;
  readonly text: CompressionText;
  readonly method: CompressionMethod;
  readonly size: {
    /** The share that was asked for. */
    readonly keep: number;
    /** Of the matrices that a plan may cut, and of the whole model. */
    readonly totals: PlanTotals;
    readonly parametersBefore: number;
    readonly parametersAfter: number;
    /** Of the files. */
    readonly bytesBefore: number;
    readonly bytesAfter: number;
  };
  /** On windows that the compression read. */
  readonly calibration: BeforeAndAfter;
  /** On windows, or a text, that it did not read; null where there was not enough text. */
  readonly unseen: BeforeAndAfter | null;
  readonly blocks: readonly CompressedBlock[];
  readonly matrices: FactorizedReport['matrices'];
  /** Null if it was not asked for. */
  readonly smokeTest: SmokeTest | null;
  readonly estimate: CompressionEstimate;
  /** Blocks that an earlier run had finished. */
  readonly resumedBlocks: number;
  readonly engine: DeviceInfo;
  /** Of this run. */
  readonly seconds: number;
  /** Warnings, and what to know about the numbers, one sentence each. */
  readonly notes: readonly string[];
}
