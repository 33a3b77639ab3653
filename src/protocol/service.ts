import type { DeviceInfo, DeviceRequest } from '../base/deviceInfo.ts';
import type { ApplyEstimate, ResultForm, WrittenFolder, WrittenType } from '../model/applied.ts';
import type { CalibrationReport } from '../model/calibration.ts';
import type { CalibrationUse } from '../model/calibrationUse.ts';
import type { AdapterComparison } from '../model/comparison.ts';
import type {
  CompressionEstimate,
  CompressionProgress,
  CompressionReport,
  CompressRequest,
} from '../model/compression.ts';
import type { DiffRequest, ModelDiff } from '../model/diff/diff.ts';
import type { RestoreReport, RestoreRequest } from '../model/diff/restore.ts';
import type { EvaluateRequest, Evaluation, TextRequest } from '../model/evaluation.ts';
import type { FactorStyle } from '../model/factorStyle.ts';
import type {
  ActivationFinding,
  Analysis,
  CheckpointSummary,
  MatrixFinding,
  Place,
  Skipped,
} from '../model/findings.ts';
import type { GenerateRequest, Generation, SmokeTest } from '../model/generation.ts';
import type { LoraCount, LoraCountRequest } from '../model/lora/count.ts';
import type { Extraction, ExtractRequest } from '../model/lora/extraction.ts';
import type { Initialization, InitRequest } from '../model/lora/initialization.ts';
import type { LoraSuggestion, LoraSuggestRequest } from '../model/lora/suggestion.ts';
import type { LoraWriteRequest, LoraWritten } from '../model/lora/written.ts';
import type { FactorizedReport, Plan, PlanRequest } from '../model/plan/plan.ts';
import type { SensitivityCurve } from '../model/plan/sensitivityCurves.ts';
import type { SharingReport, SharingRequest } from '../model/sharing/sharing.ts';
import type { TrainingReport, TrainingRequest } from '../model/training/training.ts';
import type { Trial, TrialPictureRequest, TrialPictures, TrialRequest } from '../model/trial.ts';

/**
 * The use cases of Rankscope, declared once: the service implements them, the engine process serves them, and the
 * extension host and the command line call them. None carries weights.
 */
export interface Calls {
  /** Reads only the directory of tensors: under a second at any size. */
  /** `device` names the one that an analysis will ask for next: it starts while the directory is read. */
  open: Call<{ path: string; device?: DeviceRequest }, CheckpointView>;
  /** Analyzes every matrix, or those named; each finding is reported when it is known. */
  analyze: Call<AnalyzeRequest, Analysis, AnalysisProgress>;
  /** Moves these matrices to the front of the running analysis of `path`. */
  prioritize: Call<{ path: string; names: readonly string[] }, void>;
  /** All singular values of one matrix; with a file of statistics, also those of W X. */
  spectrum: Call<{ path: string; name: string; activations?: string }, Spectrum, StepProgress>;
  /** Several adapters of one base, layer by layer. */
  compare: Call<{ paths: readonly string[] }, AdapterComparison, StepProgress>;
  /** Two models, tensor by tensor. */
  diff: Call<DiffRequest, ModelDiff, StepProgress>;
  /** Writes the other model with some attention heads of the base. */
  restoreHeads: Call<RestoreRequest, RestoreReport, StepProgress>;
  /** How the matrices of a model change over the checkpoints of a training run. */
  training: Call<TrainingRequest, TrainingReport, StepProgress>;
  /** What LoRA costs on a network, from its directory alone. */
  loraCount: Call<LoraCountRequest, LoraCount>;
  /** A rank of LoRA for each module. */
  loraSuggest: Call<LoraSuggestRequest, LoraSuggestion, StepProgress>;
  /** Writes an adapter, or a model, that is made of adapters. */
  loraWrite: Call<LoraWriteRequest, LoraWritten, StepProgress>;
  /** An adapter of what a tuned model has changed in its base. */
  loraExtract: Call<ExtractRequest, Extraction, StepProgress>;
  /** Splits a model into an adapter with its principal components and a base without them. */
  loraInit: Call<InitRequest, Initialization, StepProgress>;
  /** Continues a prompt with the network, and with a variant of it. */
  generate: Call<GenerateRequest, Generation, StepProgress>;
  /** With a measured spread, from `sources`. */
  plan: Call<{ path: string; request: PlanRequest; sources?: PlanSources } & DeviceRequest, Plan, EvaluateProgress>;
  /** Factorizes matrices in several ways and measures what is left; nothing is written. */
  trial: Call<TrialRequest, Trial, StepProgress>;
  /** A matrix, an approximation of it and the rest, as pictures. */
  trialPictures: Call<TrialPictureRequest, TrialPictures, StepProgress>;
  /** What tensors and layers have in common, and what sharing factors saves. */
  sharing: Call<SharingRequest & DeviceRequest, SharingReport, EvaluateProgress>;
  /** Error against size for the whole model, with the place of the plan; missing spectra are computed. */
  planCurves: Call<{ path: string; plan: Plan } & DeviceRequest, readonly SensitivityCurve[], StepProgress>;
  apply: Call<ApplyRequest, ApplyReport, StepProgress>;
  /** The size of what `apply` would write; nothing is computed or written. */
  estimateApply: Call<ApplyRequest, ApplyEstimate>;
  /** Compresses the network with a text, to the share that is asked for. Goes on where an earlier call was stopped. */
  compress: Call<CompressRequest, CompressionReport, CompressionProgress>;
  /** What `compress` would take, without doing it; a text that the network must write first is not written. */
  estimateCompression: Call<CompressRequest, CompressionEstimate>;
  /** Measures how well the network and its variants predict a text. */
  evaluate: Call<EvaluateRequest, Evaluation, EvaluateProgress>;
  /** Writes the statistics of the layers' inputs over the tokens of a text, for `activations` of the calls above. */
  calibrate: Call<CalibrateRequest, CalibrationReport, EvaluateProgress>;
  /** Writes a script that measures the same with transformers; nothing is computed. */
  script: Call<ScriptRequest, ScriptReport>;
  /** A Python module of low-rank layers; nothing is written. */
  layerCode: Call<LayerCodeRequest, { readonly text: string }>;
  clearCache: Call<Record<string, never>, { bytes: number }>;
}

interface Call<Params, Result, Progress = never> {
  params: Params;
  result: Result;
  progress: Progress;
}

/** How a call reports progress and is cancelled. */
export interface CallContext<Progress> {
  readonly signal?: AbortSignal;
  readonly progress?: (value: Progress) => void;
}

/** Every call ends in exactly one value or one RankscopeError. */
export type Service = {
  [Name in keyof Calls]: (
    params: Calls[Name]['params'],
    context?: CallContext<Calls[Name]['progress']>,
  ) => Promise<Calls[Name]['result']>;
};

export interface AnalyzeRequest extends DeviceRequest {
  readonly path: string;
  /** Globs over tensor names; all matrices by default. */
  readonly tensors?: readonly string[];
  /**
   * `coarse`: first estimates, with a wide band. `preview`: estimates with a narrower one. `exact` (the default): all
   * singular values. `both`: all three, one after the other, where the last does not come as soon as the first.
   */
  readonly mode?: 'coarse' | 'preview' | 'exact' | 'both';
  /**
   * A file of statistics of the matrices' inputs, with which findings carry their measures of W X. These are exact, so
   * the mode is `exact` or `both`.
   */
  readonly activations?: string;
  /** Whether findings carry their singular values. */
  readonly values?: boolean;
  /** Whether the result repeats the findings, which were all reported as progress; true by default. */
  readonly listed?: boolean;
  /** Whether the cache is used; true by default. */
  readonly cache?: boolean;
}

export interface StepProgress {
  readonly done: number;
  readonly total: number;
  readonly message: string;
}

export interface AnalysisProgress extends StepProgress {
  readonly engine?: DeviceInfo;
  readonly finding?: MatrixFinding;
  readonly skipped?: Skipped;
  /** Estimated seconds left, once the rate is known. */
  readonly secondsLeft?: number;
}

export interface EvaluateProgress extends StepProgress {
  /** Estimated seconds left, once the rate is known. */
  readonly secondsLeft?: number;
}

/** Where the spreads `activations` and `loss` learn what a text does. */
export interface PlanSources {
  /** A file of statistics of activations; collected from the text if absent. */
  readonly activations?: string;
  /** By default, windows of 512 and 16,384 tokens. Divergences are measured on the first 1,024. */
  readonly text?: TextRequest;
  /** What measuring may take; divergences that it does not allow are filled in. No limit by default. */
  readonly minutes?: number;
  /** A plan of the same checkpoint, with what was measured for it. */
  readonly from?: Plan;
}

export interface CalibrateRequest extends TextRequest, DeviceRequest {
  readonly path: string;
  /** The file to write, by custom `NAME.activations.safetensors`. */
  readonly out: string;
  /** Replaces an existing file, which is an error otherwise. */
  readonly overwrite?: boolean;
}

export interface TensorView {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly bytes: number;
}

/** A matrix to be analyzed. */
export interface MatrixView extends Place {
  readonly name: string;
  /** 0-based among the experts of its layer; absent outside a mixture of experts and in its shared parts. */
  readonly expert?: number;
  readonly shape: readonly [number, number];
  readonly dtype: string;
  /**
   * For an adapter's update, which is named after the adapted layer and is not a tensor itself: the tensors it is
   * computed from.
   */
  readonly factors?: readonly string[];
}

/** What the directory of a checkpoint tells. */
export interface CheckpointView extends CheckpointSummary {
  /** For instance `LLaMA`; null for unknown naming schemes. */
  readonly family: string | null;
  readonly layers: number;
  readonly tensors: readonly TensorView[];
  readonly matrices: readonly MatrixView[];
  readonly ties: readonly (readonly string[])[];
  readonly skipped: readonly Skipped[];
  readonly warnings: readonly string[];
  readonly security: readonly { readonly grade: string; readonly subject: string; readonly explanation: string }[];
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Spectrum {
  readonly name: string;
  readonly singularValues: readonly number[];
  /** With its singular values; null for a matrix without statistics, absent if none were asked for. */
  readonly activations?: ActivationFinding | null;
}

export interface ApplyRequest extends DeviceRequest {
  readonly path: string;
  readonly plan: Plan;
  /** What the matrices are truncated on; their weights alone by default. */
  readonly calibration?: ApplyCalibration;
  readonly out: string;
  /** How the factors are called; our own names by default. */
  readonly style?: FactorStyle;
  /** A file, by default, or a folder that transformers opens. */
  readonly form?: ResultForm;
  /** Writes the truncated matrices themselves in the places of the matrices, in place of factors. */
  readonly dense?: boolean;
  /** For all floating-point tensors; by default each keeps its own, and quantized ones become BF16. */
  readonly dtype?: WrittenType;
  /** The most bytes of a file in a folder; 5 GB by default. */
  readonly shardSize?: number;
  /** The Python file to write; no code is written by default. */
  readonly code?: string;
  /** Replaces existing files, which are an error otherwise. */
  readonly overwrite?: boolean;
  /** Whether the written file continues a prompt beside the dense network; true by default. */
  readonly smokeTest?: boolean;
}

/**
 * The ids of a text, or a `file`: a text that passes block by block, or statistics of the inputs of all layers, our own
 * or an imatrix of llama.cpp. By default, windows of 512 and 16,384 tokens.
 */
export interface ApplyCalibration extends Omit<TextRequest, 'text'> {
  readonly file?: string;
}

export interface ApplyReport extends FactorizedReport {
  /** What the matrices were truncated on; absent if on nothing but their weights. */
  readonly calibration?: CalibrationUse;
  readonly code: string | null;
  /** Null if it was not asked for. */
  readonly smokeTest: SmokeTest | null;
  /** The files, if a folder was written. */
  readonly folder?: WrittenFolder;
  /** Notes about the written file for the user, one sentence each. */
  readonly remarks?: readonly string[];
}

/** Layers for a person's own code. */
export interface LayerCodeRequest {
  /** 2: W = B A. 3: W = U S V. That of the plan by default, else 2. */
  readonly factors?: 2 | 3;
  /** Its ranks become the constant RANKS. */
  readonly plan?: Plan;
}

export interface ScriptRequest {
  readonly path: string;
  readonly kind: 'evaluate' | 'calibrate' | 'compress';
  /** For `calibrate` and `compress`, only the text counts. Without one, a model is compressed with what it writes. */
  readonly measure: Omit<EvaluateRequest, 'path' | 'engine' | 'threads'>;
  /** For `compress`. */
  readonly compress?: Pick<CompressRequest, 'keep' | 'evaluate' | 'refine' | 'steps' | 'rate' | 'seed'>;
  /** The Python file to write. */
  readonly code: string;
  /** What the script writes: a path relative to it, by default beside it. */
  readonly out?: string;
  /** Replaces an existing Python file, which is an error otherwise. */
  readonly overwrite?: boolean;
}

export interface ScriptReport {
  readonly code: string;
  /** Absolute path of what the script will write. */
  readonly out: string;
}
