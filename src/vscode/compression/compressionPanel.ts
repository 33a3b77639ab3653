import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import type { CompressionCalls, CompressionSnapshot } from '../../protocol/page.ts';
import { servePage } from '../../protocol/pageChannel.ts';
import { openInspector } from '../commands/analyze.ts';
import { loadPage, webviewPort } from '../pages/page.ts';
import { saveFromPage } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';

const VIEW_TYPE = 'rankscope.compression';
const panels = new Map<string, vscode.WebviewPanel>();

/** Shows the page of a checkpoint's compression. */
export function openCompression(workbench: Workbench, path: string): void {
  const open = panels.get(path);
  if (open) open.reveal();
  else show(workbench, vscode.window.createWebviewPanel(VIEW_TYPE, titleOf(path), vscode.ViewColumn.Active), path);
}

/** Restores the pages of a restored window: each kept the path of its checkpoint. */
export function registerCompression(workbench: Workbench): void {
  workbench.context.subscriptions.push(
    vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, {
      async deserializeWebviewPanel(panel, kept: unknown) {
        const path = (kept as { path?: unknown } | undefined)?.path;
        if (typeof path === 'string' && path !== '') show(workbench, panel, path);
        else panel.dispose();
      },
    }),
  );
}

/** Serves the page in `panel`. Unlike a measurement, a compression goes on when its page is closed. */
function show(workbench: Workbench, panel: vscode.WebviewPanel, path: string): void {
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
  panels.set(path, panel);
  panel.onDidDispose(() => {
    off();
    page.close();
    if (panels.get(path) === panel) panels.delete(path);
  });
  panel.title = titleOf(path);
  panel.iconPath = vscode.Uri.joinPath(workbench.context.extensionUri, 'media/icon.svg');
  loadPage(panel.webview, workbench.context.extensionUri, 'compression', titleOf(path));
}

const titleOf = (path: string): string => `Compression: ${baseName(path)}`;
