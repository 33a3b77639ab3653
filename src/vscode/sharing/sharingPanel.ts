import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import type { SharingCalls, SharingSnapshot } from '../../protocol/page.ts';
import { servePage } from '../../protocol/pageChannel.ts';
import { SharingRun } from '../../window/sharing/sharingRun.ts';
import { askStatistics } from '../activations/useActivations.ts';
import { reveal } from '../commands/reveal.ts';
import { pickText } from '../evaluation/pickText.ts';
import { CheckpointPanels } from '../pages/checkpointPanels.ts';
import { webviewPort } from '../pages/page.ts';
import { saveFromPage } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';

/** The pages of "Find What Layers Share", which look for it as soon as they open. */
export const sharingPanels = new CheckpointPanels({
  name: 'sharing',
  titleOf: (path) => `Sharing: ${baseName(path)}`,
  serve,
});

function serve(workbench: Workbench, panel: vscode.WebviewPanel, path: string): () => void {
  const { desk, engine, store } = workbench;
  const run = new SharingRun(path, engine.service);
  run.useActivations(store.known().find((session) => session.path === path)?.statisticsPath ?? null);
  const page = servePage<SharingCalls, Partial<SharingSnapshot>>(webviewPort(panel.webview), {
    ready: async () => run.snapshot(),
    change: async (settings) => run.change(settings),
    chooseActivations: async () => {
      const file = await askStatistics(path);
      if (file !== undefined) run.useActivations(file);
    },
    dropActivations: async () => run.useActivations(null),
    chooseText: async () => {
      const text = await pickText(workbench, 'evaluation');
      if (text !== undefined) run.change({ ...run.snapshot().settings, text });
    },
    run: async () => void run.start(),
    cancel: () => run.cancel(),
    plan: async () => {
      const { report } = run.snapshot();
      if (!report) return;
      const { keep, layers, inputs } = report.bases;
      const { activations } = run.snapshot().settings;
      const session = store.get(path);
      if (inputs && activations !== null && session.statisticsPath !== activations)
        void session.useStatistics(activations);
      await vscode.commands.executeCommand('rankscope.makePlan', vscode.Uri.file(path));
      desk.change({
        ...desk.snapshot().request,
        budget: { kind: 'keep', value: keep },
        spread: inputs ? 'activations' : 'optimal',
        factors: 2,
        share: { inputs: true, layers },
      });
    },
    reveal: ({ name }) => reveal(workbench, { path, name }),
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
