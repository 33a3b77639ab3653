import type { DeviceInfo } from '../base/deviceInfo.ts';
import type { ErrorData } from '../base/errors.ts';
import type { AdapterComparison } from '../model/comparison.ts';
import type { MatrixFinding, Skipped } from '../model/findings.ts';
import type { Plan, PlanRequest } from '../model/plan/plan.ts';
import type { CheckpointView, Spectrum } from './service.ts';

/** What the inspector page shows, complete: the page asks for it once and can be thrown away and rebuilt at any time. */
export interface InspectorSnapshot {
  readonly checkpoint: CheckpointView | null;
  /** Why the checkpoint could not be opened, or why the last run failed. */
  readonly error: ErrorData | null;
  readonly engine: DeviceInfo | null;
  readonly findings: readonly MatrixFinding[];
  readonly skipped: readonly Skipped[];
  readonly run: RunState;
  /** Ranks picked so far, by tensor name. */
  readonly ranks: Readonly<Record<string, number>>;
  /** The matrix that the page should show first, when it was opened from a hover or the tree. */
  readonly selected: string | null;
}

export interface RunState {
  readonly status: 'idle' | 'running' | 'done' | 'cancelled' | 'failed';
  readonly done: number;
  readonly total: number;
  readonly message: string;
  readonly secondsLeft: number | null;
}

export const IDLE: RunState = { status: 'idle', done: 0, total: 0, message: '', secondsLeft: null };

/** What changed since the last message; lists hold only what is new. */
export type InspectorUpdate = Partial<Omit<InspectorSnapshot, 'findings' | 'skipped'>> & {
  readonly findings?: readonly MatrixFinding[];
  readonly skipped?: readonly Skipped[];
};

/** Requests the inspector page makes of the extension host (JSON-RPC over postMessage). */
export interface InspectorCalls {
  /** The page announces itself; the host answers with everything. */
  ready: { params: void; result: InspectorSnapshot };
  run: { params: void; result: void };
  cancel: { params: void; result: void };
  spectrum: { params: { name: string }; result: Spectrum };
  /** The matrices that are on the screen: they are computed first. */
  visible: { params: { names: readonly string[] }; result: void };
  /** The user selected this matrix: checkpoints open beside this one show theirs too. */
  select: { params: { name: string }; result: void };
  setRank: { params: { name: string; rank: number }; result: void };
  /** Leaves the rank of this matrix to the plan again. */
  clearRank: { params: { name: string }; result: void };
  /** Asks for a place and saves; false when the user backed out. */
  save: { params: SaveRequest; result: boolean };
}

export interface SaveRequest {
  readonly suggestedName: string;
  /** Base64 for a picture, plain text otherwise. */
  readonly content: string;
  readonly encoding: 'base64' | 'utf8';
}

export interface PlanSnapshot {
  /** Opened checkpoints a plan can be made for: path and display name. */
  readonly checkpoints: readonly { readonly path: string; readonly name: string }[];
  readonly current: string | null;
  readonly request: PlanRequest;
  readonly plan: Plan | null;
  readonly error: ErrorData | null;
  readonly busy: string | null;
  readonly canUndo: boolean;
  /** False in an untrusted workspace: the plan can be looked at, nothing is written. */
  readonly canWrite: boolean;
}

/** Requests the plan page makes of the extension host. */
export interface PlanCalls {
  ready: { params: void; result: PlanSnapshot };
  selectCheckpoint: { params: { path: string }; result: void };
  change: { params: PlanRequest; result: void };
  undo: { params: void; result: void };
  apply: { params: void; result: void };
  savePlan: { params: void; result: void };
  reveal: { params: { name: string }; result: void };
}

/** What the page of a comparison of adapters shows, complete. */
export interface ComparisonSnapshot {
  /** The files and folders that are compared. */
  readonly paths: readonly string[];
  /** Null until the run is done. */
  readonly comparison: AdapterComparison | null;
  readonly run: RunState;
  readonly error: ErrorData | null;
}

/** Requests the comparison page makes of the extension host. */
export interface ComparisonCalls {
  ready: { params: void; result: ComparisonSnapshot };
  run: { params: void; result: void };
  cancel: { params: void; result: void };
  /** Opens the inspector of one adapter at one of its matrices. */
  reveal: { params: { path: string; name: string }; result: void };
  save: { params: SaveRequest; result: boolean };
}

/** The one notification the host sends a page: `update` with what changed. */
export const UPDATE = 'update';
