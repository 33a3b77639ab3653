import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import type { CompressionCalls, CompressionSnapshot } from '../../protocol/page.ts';
import { servePage } from '../../protocol/pageChannel.ts';
import { openInspector } from '../commands/analyze.ts';
import { CheckpointPanels } from '../pages/checkpointPanels.ts';
import { webviewPort } from '../pages/page.ts';
import { saveFromPage } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';

/** The pages of compressions. Unlike a measurement, a compression goes on when its page is closed. */
export const compressionPanels = new CheckpointPanels({
  name: 'compression',
  titleOf: (path) => `Compression: ${baseName(path)}`,
  serve,
});

function serve(workbench: Workbench, panel: vscode.WebviewPanel, path: string): () => void {
  const compression = workbench.compressions.get(path);
  const page = servePage<CompressionCalls, Partial<CompressionSnapshot>>(webviewPort(panel.webview), {
    ready: async () => compression.snapshot(),
    compress: async () => void (await vscode.commands.executeCommand('rankscope.compress', vscode.Uri.file(path))),
    again: async () => void compression.again(),
    cancel: () => compression.cancel(),
    open: async () => {
      const { report } = compression.snapshot();
      if (report) await openInspector(vscode.Uri.file(report.out));
    },
    save: (request) => saveFromPage(request, path),
  });
  const off = compression.updates.on((update) => page.update(update));
  return () => {
    off();
    page.close();
  };
}
