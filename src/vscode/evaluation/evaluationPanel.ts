import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import type { EvaluationCalls, EvaluationSnapshot } from '../../protocol/page.ts';
import { servePage } from '../../protocol/pageChannel.ts';
import { CheckpointPanels } from '../pages/checkpointPanels.ts';
import { webviewPort } from '../pages/page.ts';
import { saveFromPage } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';
import { addFromFile } from './openEvaluation.ts';

/** The pages of evaluations. A run ends with the last page that shows it. */
export const evaluationPanels = new CheckpointPanels({
  name: 'evaluation',
  titleOf: (path) => `Perplexity: ${baseName(path)}`,
  serve,
  lastClosed: ({ evaluations }, path) => void evaluations.get(path).cancel(),
});

function serve(workbench: Workbench, panel: vscode.WebviewPanel, path: string): () => void {
  const evaluations = workbench.evaluations.get(path);
  const page = servePage<EvaluationCalls, Partial<EvaluationSnapshot>>(webviewPort(panel.webview), {
    ready: async () => evaluations.snapshot(),
    measure: async () => void (await vscode.commands.executeCommand('rankscope.measure', vscode.Uri.file(path))),
    python: async () =>
      void (await vscode.commands.executeCommand('rankscope.measureWithPython', vscode.Uri.file(path))),
    again: async () => void evaluations.again(),
    cancel: () => evaluations.cancel(),
    open: async () => void (await addFromFile(workbench, undefined, evaluations)),
    save: (request) => saveFromPage(request, path),
  });
  const off = evaluations.updates.on((update) => page.update(update));
  return () => {
    off();
    page.close();
  };
}
