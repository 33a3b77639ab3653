import * as vscode from 'vscode';
import { checkpointPath } from '../inspector/checkpointFile.ts';
import type { Workbench } from '../workbench.ts';
import { evaluationPanels } from './evaluationPanel.ts';
import { addFromFile } from './openEvaluation.ts';

const EDITOR = 'rankscope.evaluationEditor';

interface EvaluationDocument extends vscode.CustomDocument {
  /** The checkpoint that the file names. */
  readonly checkpoint: string;
}

/** Files named `*.evaluation.json` open as the page of their checkpoint, with the runs of the file among its others. */
export function registerEvaluationEditor(workbench: Workbench): void {
  const provider: vscode.CustomReadonlyEditorProvider<EvaluationDocument> = {
    async openCustomDocument(uri) {
      const checkpoint = (await addFromFile(workbench, uri)) ?? checkpointPath(uri);
      return { uri, checkpoint, dispose: () => undefined };
    },
    resolveCustomEditor({ checkpoint }, panel) {
      evaluationPanels.show(workbench, panel, checkpoint);
    },
  };
  workbench.context.subscriptions.push(vscode.window.registerCustomEditorProvider(EDITOR, provider));
}
