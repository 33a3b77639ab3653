import * as vscode from 'vscode';
import { CompressionStore } from '../window/compression/compressions.ts';
import { EvaluationStore } from '../window/evaluation/evaluationStore.ts';
import { PlanDesk } from '../window/plan/planDesk.ts';
import { Archive } from '../window/sessions/archive.ts';
import { keepFindings, SessionStore } from '../window/sessions/sessionStore.ts';
import { SideBySide } from '../window/sessions/sideBySide.ts';
import { type CheckpointTree, registerCheckpointTree } from './checkpointTree.ts';
import { registerCode } from './code/providers.ts';
import { registerAllCommands } from './commands/commands.ts';
import { registerComparison } from './comparison/comparisonPanel.ts';
import { compressionPanels } from './compression/compressionPanel.ts';
import { registerDiff } from './diff/diffPanel.ts';
import { createEngine } from './engine/engine.ts';
import { registerEvaluationEditor } from './evaluation/evaluationEditor.ts';
import { evaluationPanels } from './evaluation/evaluationPanel.ts';
import { registerInspector } from './inspector/inspectorEditor.ts';
import { loraPanels } from './lora/loraPanel.ts';
import { registerPlanView } from './plan/planView.ts';
import { engineRequest } from './settings.ts';
import { sharingPanels } from './sharing/sharingPanel.ts';
import { trainingPanels } from './training/trainingPanel.ts';
import type { Workbench } from './workbench.ts';

/** Returned by `activate`, so that the tests inside VS Code can reach the parts. */
export interface Rankscope extends Workbench {
  readonly tree: CheckpointTree;
}

/** Wires the parts together. */
export function activate(context: vscode.ExtensionContext): Rankscope {
  const log = vscode.window.createOutputChannel('Rankscope', { log: true });
  const engine = createEngine(context, log);
  const { service } = engine;
  const canWrite = () => vscode.workspace.isTrusted;
  const request = () => ({ ...engineRequest(), cache: canWrite() });
  const folder = vscode.Uri.joinPath(context.globalStorageUri, 'findings').fsPath;
  const archive = new Archive(folder, (line) => log.debug(line));
  const store = new SessionStore({ service, request }, context.globalState, archive);
  keepFindings(store, archive, canWrite);
  const desk = new PlanDesk({ service, store, memory: context.workspaceState, canWrite });
  const evaluations = new EvaluationStore({ service, device: engineRequest, memory: context.workspaceState });
  const compressions = new CompressionStore({ service, device: engineRequest, memory: context.workspaceState });
  const workbench: Workbench = {
    ...{ context, log, engine, store, archive, desk, evaluations, compressions },
    sideBySide: new SideBySide(),
  };
  context.subscriptions.push(log);
  registerInspector(workbench);
  registerComparison(workbench);
  sharingPanels.register(workbench);
  registerDiff(workbench);
  trainingPanels.register(workbench);
  loraPanels.register(workbench);
  evaluationPanels.register(workbench);
  compressionPanels.register(workbench);
  registerEvaluationEditor(workbench);
  const tree = registerCheckpointTree(workbench);
  registerPlanView(workbench);
  registerCode(workbench);
  registerAllCommands(workbench);
  return { ...workbench, tree };
}

/** Nothing to do: disposing the subscriptions ends the engine process. */
export function deactivate(): void {}
