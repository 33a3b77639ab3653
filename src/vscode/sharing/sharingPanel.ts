import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import type { SharingCalls, SharingSnapshot } from '../../protocol/page.ts';
import { servePage } from '../../protocol/pageChannel.ts';
import { SharingRun } from '../../window/sharing/sharingRun.ts';
import { reveal } from '../commands/reveal.ts';
import { pickText } from '../evaluation/pickText.ts';
import { loadPage, webviewPort } from '../pages/page.ts';
import { saveFromPage } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';

const VIEW_TYPE = 'rankscope.sharing';
const panels = new Map<string, vscode.WebviewPanel>();

/** "Find What Layers Share": opens the page of a checkpoint, and looks for it. */
export function openSharing(workbench: Workbench, path: string): void {
  const open = panels.get(path);
  if (open) open.reveal();
  else show(workbench, vscode.window.createWebviewPanel(VIEW_TYPE, titleOf(path), vscode.ViewColumn.Active), path);
}

/** Restores the pages of a restored window: each kept the path of its checkpoint. */
export function registerSharing(workbench: Workbench): void {
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

function show(workbench: Workbench, panel: vscode.WebviewPanel, path: string): void {
  const { desk, engine, context } = workbench;
  const run = new SharingRun(path, engine.service);
  const page = servePage<SharingCalls, Partial<SharingSnapshot>>(webviewPort(panel.webview), {
    ready: async () => run.snapshot(),
    change: async (settings) => run.change(settings),
    chooseText: async () => {
      const text = await pickText(workbench, 'evaluation');
      if (text !== undefined) run.change({ ...run.snapshot().settings, text });
    },
    run: async () => void run.start(),
    cancel: () => run.cancel(),
    plan: async () => {
      const { report } = run.snapshot();
      if (!report) return;
      const { keep, layers } = report.bases;
      await vscode.commands.executeCommand('rankscope.makePlan', vscode.Uri.file(path));
      desk.change({
        ...desk.snapshot().request,
        budget: { kind: 'keep', value: keep },
        spread: 'optimal',
        factors: 2,
        share: { inputs: true, layers },
      });
    },
    reveal: ({ name }) => reveal(workbench, { path, name }),
    save: (request) => saveFromPage(request, path),
  });
  const off = run.updates.on((update) => page.update(update));
  panels.set(path, panel);
  panel.onDidDispose(() => {
    off();
    page.close();
    void run.cancel();
    if (panels.get(path) === panel) panels.delete(path);
  });
  panel.title = titleOf(path);
  panel.iconPath = vscode.Uri.joinPath(context.extensionUri, 'media/icon.svg');
  loadPage(panel.webview, context.extensionUri, 'sharing', titleOf(path));
  void run.start();
}

const titleOf = (path: string): string => `Sharing: ${baseName(path)}`;
