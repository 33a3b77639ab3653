import type * as vscode from 'vscode';
import type { EngineClient } from './engine/engineClient.ts';
import type { PlanDesk } from './panel/planDesk.ts';
import type { Archive } from './sessions/archive.ts';
import type { SessionStore } from './sessions/sessionStore.ts';
import type { SideBySide } from './sessions/sideBySide.ts';

/** What the parts of the extension share in one window. */
export interface Workbench {
  readonly context: vscode.ExtensionContext;
  readonly log: vscode.LogOutputChannel;
  readonly engine: EngineClient;
  readonly store: SessionStore;
  readonly sideBySide: SideBySide;
  readonly archive: Archive;
  readonly desk: PlanDesk;
}
