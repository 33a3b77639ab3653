import type { DeviceInfo, DeviceRequest } from '../base/deviceInfo.ts';
import type { AdapterComparison } from '../model/comparison.ts';
import type { Analysis, CheckpointSummary, MatrixFinding, Place, Skipped } from '../model/findings.ts';
import type { FactorizedReport, Plan, PlanRequest } from '../model/plan/plan.ts';

/**
 * The use cases of Rankscope, declared once: the service implements them, the engine process serves them, the extension host and
 * the command line call them. Nothing here carries weights.
 */
export interface Calls {
  /** Reads the directory only; under a second at any size. */
  open: Call<{ path: string }, CheckpointView>;
  /** Analyzes every matrix (or those named); each finding is reported as it comes. */
  analyze: Call<AnalyzeRequest, Analysis, AnalysisProgress>;
  /** Puts these matrices first in the analysis of `path` that is under way. */
  prioritize: Call<{ path: string; names: readonly string[] }, void>;
  /** All singular values of one matrix. */
  spectrum: Call<{ path: string; name: string }, Spectrum, StepProgress>;
  /** Several adapters of one base, layer by layer. */
  compare: Call<{ paths: readonly string[] }, AdapterComparison, StepProgress>;
  plan: Call<{ path: string; request: PlanRequest } & DeviceRequest, Plan, StepProgress>;
  apply: Call<ApplyRequest, ApplyReport, StepProgress>;
  clearCache: Call<Record<string, never>, { bytes: number }>;
}

interface Call<Params, Result, Progress = never> {
  params: Params;
  result: Result;
  progress: Progress;
}

/** How a call reports and is stopped. */
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
  /** Globs over tensor names; all matrices where left out. */
  readonly tensors?: readonly string[];
  /** `preview`: estimates with a band. `exact` (the default): all singular values. `both`: a preview sweep, then exact. */
  readonly mode?: 'preview' | 'exact' | 'both';
  /** Whether findings carry their singular values. */
  readonly values?: boolean;
  /** Whether the result lists the findings, which were all reported; true where left out. */
  readonly listed?: boolean;
  /** Whether results may come from, and go to, the cache; true where left out. */
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
  /** Estimated seconds left, once something is known of the rate. */
  readonly secondsLeft?: number;
}

export interface TensorView {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly bytes: number;
}

/** A matrix that an analysis will cover. */
export interface MatrixView extends Place {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly dtype: string;
  /** Of an adapter's update: the tensors whose product it is. It is then named after the adapted layer, and is no tensor itself. */
  readonly factors?: readonly string[];
}

/** What the header view shows, within a second of opening. */
export interface CheckpointView extends CheckpointSummary {
  /** e.g. `LLaMA`; null where no table knows the names. */
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
}

export interface ApplyRequest extends DeviceRequest {
  readonly path: string;
  readonly plan: Plan;
  readonly out: string;
  /** Where the Python code goes; none is written where left out. */
  readonly code?: string;
  /** Replace an existing `out`; without it an existing file is an error. */
  readonly overwrite?: boolean;
}

export interface ApplyReport extends FactorizedReport {
  readonly code: string | null;
  /** What a person should know of the file that was written, one sentence each. */
  readonly remarks?: readonly string[];
}
