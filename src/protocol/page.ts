import type { DeviceInfo } from '../base/deviceInfo.ts';
import type { ErrorData } from '../base/errors.ts';
import type { StatisticsSummary } from '../model/activations.ts';
import type { AdapterComparison } from '../model/comparison.ts';
import type {
  CompressedBlock,
  CompressionEstimate,
  CompressionReport,
  CompressionStage,
} from '../model/compression.ts';
import type { DiffedMatrix, ModelDiff } from '../model/diff/diff.ts';
import type { Evaluation } from '../model/evaluation.ts';
import type { MatrixFinding, Skipped } from '../model/findings.ts';
import type { SmokeTest } from '../model/generation.ts';
import type { LoraModel } from '../model/lora/count.ts';
import type { LoraSuggestion, LoraSuggestRequest } from '../model/lora/suggestion.ts';
import type { DenseRole } from '../model/names/roles.ts';
import type { Plan, PlannedMatrix, PlanRequest } from '../model/plan/plan.ts';
import type { Sensitivities } from '../model/plan/sensitivities.ts';
import type { SensitivityCurve } from '../model/plan/sensitivityCurves.ts';
import type { SharingReport } from '../model/sharing/sharing.ts';
import type { TrainingReport } from '../model/training/training.ts';
import type { Trial, TrialChoice, TrialPictureRequest, TrialPictures } from '../model/trial.ts';
import type { CheckpointView, Spectrum } from './service.ts';

/** Everything the inspector page shows: the page asks for it once, and can be discarded and rebuilt at any time. */
export interface InspectorSnapshot {
  readonly checkpoint: CheckpointView | null;
  /** Why the checkpoint could not be opened, or why the last run failed. */
  readonly error: ErrorData | null;
  readonly engine: DeviceInfo | null;
  /** The statistics of activations in use; null without. */
  readonly statistics: StatisticsInUse | null;
  /** How the file continued a prompt after it was written, or when a person asked for it; null otherwise. */
  readonly smokeTest: SmokeTest | null;
  readonly findings: readonly MatrixFinding[];
  readonly skipped: readonly Skipped[];
  readonly run: RunState;
  /** Ranks set by hand, by tensor name; matrices kept dense are not listed. */
  readonly ranks: Readonly<Record<string, number>>;
  /** The matrix to show first, where the page was opened from a hover or the tree. */
  readonly selected: string | null;
}

export interface StatisticsInUse {
  /** The file. */
  readonly path: string;
  /** What the file says of itself; null until a run with it has ended. */
  readonly summary: StatisticsSummary | null;
  /** What to know about their use, one sentence each. */
  readonly remarks: readonly string[];
}

export interface RunState {
  readonly status: 'idle' | 'running' | 'done' | 'cancelled' | 'failed';
  readonly done: number;
  readonly total: number;
  readonly message: string;
  readonly secondsLeft: number | null;
}

export const IDLE: RunState = { status: 'idle', done: 0, total: 0, message: '', secondsLeft: null };

/** What changed since the last message; lists hold only new entries. */
export type InspectorUpdate = Partial<Omit<InspectorSnapshot, 'findings' | 'skipped'>> & {
  readonly findings?: readonly MatrixFinding[];
  readonly skipped?: readonly Skipped[];
  /** What the running trial does at the moment. */
  readonly trialStep?: string;
};

/** The calls of the inspector page to the extension host (JSON-RPC over postMessage). */
export interface InspectorCalls {
  /** The page announces itself; the host answers with its full state. */
  ready: { params: void; result: InspectorSnapshot };
  /** Opens one of the checkpoints that the current error offers. */
  openChoice: { params: { path: string }; result: void };
  run: { params: void; result: void };
  cancel: { params: void; result: void };
  spectrum: { params: { name: string }; result: Spectrum };
  /** The matrices on screen, which are computed first. */
  visible: { params: { names: readonly string[] }; result: void };
  /** The user selected this matrix; checkpoints shown beside this one follow. */
  select: { params: { name: string }; result: void };
  setRank: { params: { name: string; rank: number }; result: void };
  /** Leaves the rank of this matrix to the plan again. */
  clearRank: { params: { name: string }; result: void };
  /** Factorizes one matrix in several ways; a trial that is under way is cancelled. */
  trial: { params: { name: string; choice: TrialChoice }; result: Trial };
  cancelTrial: { params: void; result: void };
  trialPictures: { params: Omit<TrialPictureRequest, 'path'>; result: TrialPictures };
  /** Asks for a text and for what to try on it, and opens the page of the evaluations. */
  measure: { params: void; result: void };
  /** Asks whether statistics of activations are read from a file, collected, or used no longer. */
  activations: { params: void; result: void };
  /** Asks where to save, and saves; false if the user cancels. */
  save: { params: SaveRequest; result: boolean };
}

export interface SaveRequest {
  readonly suggestedName: string;
  /** Base64 for a picture, plain text otherwise. */
  readonly content: string;
  readonly encoding: 'base64' | 'utf8';
}

export interface PlanSnapshot {
  /** Open checkpoints, for which a plan can be made. */
  readonly checkpoints: readonly { readonly path: string; readonly name: string }[];
  readonly current: string | null;
  readonly request: PlanRequest;
  readonly plan: PlanOverview | null;
  readonly error: ErrorData | null;
  readonly busy: string | null;
  readonly measure: PlanMeasure;
  readonly canUndo: boolean;
  readonly canRedo: boolean;
  /** False in an untrusted workspace, where the plan can be viewed and nothing is written. */
  readonly canWrite: boolean;
}

/** Where the spreads by activations and by loss learn what a text does. */
export interface PlanMeasure {
  /** The file of the text that was chosen for the checkpoint. */
  readonly text: string | null;
  /** The file of statistics that its inspector uses. */
  readonly statistics: string | null;
  /** What measuring may take; null for no limit. */
  readonly minutes: number | null;
  /** Whether the request needs a measurement that nobody has started, because it takes minutes. */
  readonly waits: boolean;
}

/** A plan without its matrices, which the page asks for as it lists them. */
export interface PlanOverview extends Omit<Plan, 'matrices' | 'sensitivities'> {
  /** What was measured, without the matrices. */
  readonly sensitivities?: Omit<Sensitivities, 'matrices'>;
  /** The number of matrices, and of those that are factorized. */
  readonly matrices: number;
  readonly factorized: number;
  /** The highest break-even rank of all matrices. */
  readonly highestRank: number;
  /** How many matrices are of each kind that is dense by default. */
  readonly kinds: Readonly<Partial<Record<DenseRole, number>>>;
}

/** The first matrices of a plan that match a filter, and how many do. */
export interface PlanRows {
  readonly matching: number;
  readonly matrices: readonly PlannedMatrix[];
}

/** The calls of the plan page to the extension host. */
export interface PlanCalls {
  /** The first `count` matrices of the last plan whose names hold every word of `filter`. */
  matrices: { params: { filter: string; count: number }; result: PlanRows };
  /** Error against size for the model of the last plan; null while that takes an analysis that has not ended. */
  curves: { params: void; result: readonly SensitivityCurve[] | null };
  ready: { params: void; result: PlanSnapshot };
  selectCheckpoint: { params: { path: string }; result: void };
  change: { params: PlanRequest; result: void };
  undo: { params: void; result: void };
  redo: { params: void; result: void };
  /** Asks for the file of a plan of the current checkpoint. */
  openPlan: { params: void; result: void };
  /** Asks for the text of the spreads by activations and by loss. */
  chooseText: { params: void; result: void };
  limitMinutes: { params: { minutes: number | null }; result: void };
  /** Starts the measurement that the request waits for. */
  start: { params: void; result: void };
  /** Ends the plan that is being made. */
  cancel: { params: void; result: void };
  apply: { params: void; result: void };
  savePlan: { params: void; result: void };
  /** Measures how much worse the model gets with this plan. */
  measure: { params: void; result: void };
  reveal: { params: { name: string }; result: void };
}

/** Everything that the page of an adapter comparison shows. */
export interface ComparisonSnapshot {
  /** The compared files and folders. */
  readonly paths: readonly string[];
  /** Null until the run is done. */
  readonly comparison: AdapterComparison | null;
  readonly run: RunState;
  readonly error: ErrorData | null;
}

/** The calls of the comparison page to the extension host. */
export interface ComparisonCalls {
  ready: { params: void; result: ComparisonSnapshot };
  run: { params: void; result: void };
  cancel: { params: void; result: void };
  /** Opens the inspector of one adapter and shows one of its matrices. */
  reveal: { params: { path: string; name: string }; result: void };
  save: { params: SaveRequest; result: boolean };
}

/** Everything that the page of a checkpoint's evaluations shows. */
export interface EvaluationSnapshot {
  /** The checkpoint. */
  readonly path: string;
  /** Every run whose numbers are known, oldest first; on one text or on several. */
  readonly evaluations: readonly Evaluation[];
  readonly run: RunState;
  /** What the current or the last run measures: `ranks 16, 32 on text.txt`; empty before the first. */
  readonly asked: string;
  readonly error: ErrorData | null;
}

/** The calls of the evaluation page to the extension host. */
export interface EvaluationCalls {
  ready: { params: void; result: EvaluationSnapshot };
  /** Asks for a text and for what to try, and measures it. */
  measure: { params: void; result: void };
  /** Writes a script for transformers that measures the same, for other architectures and big GPUs. */
  python: { params: void; result: void };
  /** Measures what the last run was asked for. */
  again: { params: void; result: void };
  cancel: { params: void; result: void };
  /** Asks for a file with an evaluation, and adds it. */
  open: { params: void; result: void };
  save: { params: SaveRequest; result: boolean };
}

/** Everything that the page of a compression shows. */
export interface CompressionSnapshot {
  /** The checkpoint that is compressed. */
  readonly path: string;
  /** The file that is written; empty before the first run. */
  readonly out: string;
  /** What the current or the last run does: `80 % kept, fitted to text.txt`. */
  readonly asked: string;
  readonly run: RunState;
  readonly stage: CompressionStage;
  readonly estimate: CompressionEstimate | null;
  /** Finished blocks, and how many there are; 0 before that is known. */
  readonly blocks: readonly CompressedBlock[];
  readonly layers: number;
  /** Of the block that is under way: the loss at each step so far. */
  readonly current: { readonly layer: number; readonly losses: readonly number[] } | null;
  readonly report: CompressionReport | null;
  readonly error: ErrorData | null;
}

/** The calls of the compression page to the extension host. */
export interface CompressionCalls {
  ready: { params: void; result: CompressionSnapshot };
  /** Asks for a text, a size and a target, and compresses. */
  compress: { params: void; result: void };
  /** Goes on where the last run was stopped, or tries it once more. */
  again: { params: void; result: void };
  cancel: { params: void; result: void };
  /** Opens the written file. */
  open: { params: void; result: void };
  save: { params: SaveRequest; result: boolean };
}

/** What the page of shared layers asks for. */
export interface SharingSettings {
  /** Share of the parameters at which shared and independent factors are compared. */
  readonly keep: number;
  /** Layers that may share, at most. */
  readonly layers: number;
  /** A file of statistics, with which errors are those of W X; null for W alone. */
  readonly activations: string | null;
  /** A text on which both are measured; null for none. */
  readonly text: string | null;
}

/** Everything that the page of shared layers shows. */
export interface SharingSnapshot {
  /** The checkpoint. */
  readonly path: string;
  readonly settings: SharingSettings;
  /** Null until a run is done. */
  readonly report: SharingReport | null;
  readonly run: RunState;
  readonly error: ErrorData | null;
}

/** The calls of that page to the extension host. */
export interface SharingCalls {
  ready: { params: void; result: SharingSnapshot };
  change: { params: SharingSettings; result: void };
  /** Asks for a file of statistics. */
  chooseActivations: { params: void; result: void };
  dropActivations: { params: void; result: void };
  chooseText: { params: void; result: void };
  run: { params: void; result: void };
  cancel: { params: void; result: void };
  /** Makes the plan of the checkpoint one with these shared factors. */
  plan: { params: void; result: void };
  /** Shows a matrix in the inspector. */
  reveal: { params: { name: string }; result: void };
  save: { params: SaveRequest; result: boolean };
}

/** Everything that the page of LoRA shows. */
export interface LoraSnapshot {
  /** The checkpoint; empty without one, where the usual models are counted. */
  readonly path: string;
  /** What can be adapted in the checkpoint; null without one, and until it is read. */
  readonly model: LoraModel | null;
  /** A file of statistics, with which the ranks follow W X; null for W alone. */
  readonly activations: string | null;
  /** Null until a run is done. */
  readonly suggestion: LoraSuggestion | null;
  readonly run: RunState;
  readonly error: ErrorData | null;
}

/** The calls of that page to the extension host. */
export interface LoraCalls {
  ready: { params: void; result: LoraSnapshot };
  /** Asks for a file of statistics. */
  chooseActivations: { params: void; result: void };
  dropActivations: { params: void; result: void };
  suggest: { params: Pick<LoraSuggestRequest, 'targets' | 'rank'>; result: void };
  cancel: { params: void; result: void };
  copy: { params: { text: string }; result: void };
  /** Opens a text as a document that is not saved yet. */
  open: { params: { text: string; language: string }; result: void };
  save: { params: SaveRequest; result: boolean };
}

/** Everything that the page of two models shows. */
export interface DiffSnapshot {
  /** The two checkpoints. */
  readonly base: string;
  readonly other: string;
  /** Null until a run is done. */
  readonly diff: ModelDiff | null;
  readonly run: RunState;
  readonly error: ErrorData | null;
}

/** The calls of that page to the extension host. */
export interface DiffCalls {
  ready: { params: void; result: DiffSnapshot };
  run: { params: void; result: void };
  cancel: { params: void; result: void };
  /** Compares in the other direction. */
  swap: { params: void; result: void };
  /** The matrices of one of the base's tensors, with their spectra: several for a fused one. */
  spectra: { params: { name: string }; result: readonly DiffedMatrix[] };
  /** Opens the inspector of one of the two and shows a matrix. */
  reveal: { params: { path: string; name: string }; result: void };
  /** Asks for a file, and writes the other model to it with these heads of the base: `3.1,3.4`. */
  restore: { params: { heads: string }; result: void };
  /** Asks for a folder, and writes what has changed to it as an adapter. */
  extract: { params: void; result: void };
  save: { params: SaveRequest; result: boolean };
}

/** Everything that the page of a training run shows. */
export interface TrainingSnapshot {
  /** The folder of its checkpoints. */
  readonly path: string;
  /** Null until a run is done. */
  readonly report: TrainingReport | null;
  readonly run: RunState;
  readonly error: ErrorData | null;
}

/** The calls of that page to the extension host. */
export interface TrainingCalls {
  ready: { params: void; result: TrainingSnapshot };
  run: { params: void; result: void };
  cancel: { params: void; result: void };
  save: { params: SaveRequest; result: boolean };
}

/** The one notification that the host sends to a page, with what changed. */
export const UPDATE = 'update';
