import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import type { LoraCalls, LoraSnapshot } from '../../protocol/page.ts';
import { servePage } from '../../protocol/pageChannel.ts';
import { LoraDesk } from '../../window/lora/loraDesk.ts';
import { askStatistics } from '../activations/useActivations.ts';
import { CheckpointPanels } from '../pages/checkpointPanels.ts';
import { webviewPort } from '../pages/page.ts';
import { saveFromPage } from '../pages/save.ts';
import { engineRequest } from '../settings.ts';
import type { Workbench } from '../workbench.ts';

/** The pages of "Suggest LoRA Ranks", and that of "Count LoRA Parameters", which needs no checkpoint. */
export const loraPanels = new CheckpointPanels({
  name: 'lora',
  titleOf: (path) => (path === '' ? 'LoRA' : `LoRA: ${baseName(path)}`),
  needsCheckpoint: false,
  serve,
});

function serve({ engine, store }: Workbench, panel: vscode.WebviewPanel, path: string): () => void {
  const desk = new LoraDesk(path, engine.service, engineRequest);
  desk.useActivations(store.known().find((session) => session.path === path)?.statisticsPath ?? null);
  const page = servePage<LoraCalls, Partial<LoraSnapshot>>(webviewPort(panel.webview), {
    ready: async () => desk.snapshot(),
    chooseActivations: async () => {
      const file = await askStatistics(path);
      if (file !== undefined) desk.useActivations(file);
    },
    dropActivations: async () => desk.useActivations(null),
    suggest: async (choice) => void desk.suggest(choice),
    cancel: () => desk.cancel(),
    copy: async ({ text }) => vscode.env.clipboard.writeText(text),
    open: async ({ text, language }) => {
      const document = await vscode.workspace.openTextDocument({ language, content: text });
      await vscode.window.showTextDocument(document, { preview: false });
    },
    save: (request) => saveFromPage(request, path),
  });
  const off = desk.updates.on((update) => page.update(update));
  void desk.open();
  return () => {
    off();
    page.close();
    void desk.cancel();
  };
}
