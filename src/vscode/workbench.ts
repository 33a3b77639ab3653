import type * as vscode from 'vscode';
import type { CompressionStore } from '../window/compression/compressions.ts';
import type { EngineClient } from '../window/engine/engineClient.ts';
import type { EvaluationStore } from '../window/evaluation/evaluationStore.ts';
import type { PlanDesk } from '../window/plan/planDesk.ts';
import type { Archive } from '../window/sessions/archive.ts';
import type { SessionStore } from '../window/sessions/sessionStore.ts';
import type { SideBySide } from '../window/sessions/sideBySide.ts';

/** The shared parts of the extension in one window. */
export interface Workbench {
  readonly context: vscode.ExtensionContext;
  readonly log: vscode.LogOutputChannel;
  readonly engine: EngineClient;
  readonly store: SessionStore;
  readonly sideBySide: SideBySide;
  readonly archive: Archive;
  readonly desk: PlanDesk;
  readonly evaluations: EvaluationStore;
  readonly compressions: CompressionStore;
}
