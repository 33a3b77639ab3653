import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import type { TrainingCalls, TrainingSnapshot } from '../../protocol/page.ts';
import { servePage } from '../../protocol/pageChannel.ts';
import { TrainingRun } from '../../window/training/trainingRun.ts';
import { type CheckpointArgument, uriOf } from '../commands/analyze.ts';
import { checkpointPath } from '../inspector/checkpointFile.ts';
import { CheckpointPanels } from '../pages/checkpointPanels.ts';
import { webviewPort } from '../pages/page.ts';
import { saveFromPage } from '../pages/save.ts';
import { engineRequest } from '../settings.ts';
import type { Workbench } from '../workbench.ts';

/** The pages of "Show Training Curves", one for each folder of checkpoints. */
export const trainingPanels = new CheckpointPanels({
  name: 'training',
  titleOf: (path) => `Training: ${baseName(path)}`,
  serve,
});

/** "Show Training Curves": opens the page of a folder of checkpoints, which is asked for if none is given. */
export async function showTraining(workbench: Workbench, target: CheckpointArgument): Promise<void> {
  const options = { title: 'Show Training Curves', openLabel: 'Choose', canSelectFiles: false, canSelectFolders: true };
  const uri = uriOf(target) ?? (await vscode.window.showOpenDialog(options))?.[0];
  if (uri) trainingPanels.reveal(workbench, checkpointPath(uri));
}

function serve({ engine }: Workbench, panel: vscode.WebviewPanel, path: string): () => void {
  const run = new TrainingRun(path, engine.service, engineRequest);
  const page = servePage<TrainingCalls, Partial<TrainingSnapshot>>(webviewPort(panel.webview), {
    ready: async () => run.snapshot(),
    run: async () => void run.start(),
    cancel: () => run.cancel(),
    save: (request) => saveFromPage(request, path),
  });
  const off = run.updates.on((update) => page.update(update));
  void run.start();
  return () => {
    off();
    page.close();
    void run.cancel();
  };
}
