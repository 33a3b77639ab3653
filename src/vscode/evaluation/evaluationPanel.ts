import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import type { EvaluationCalls, EvaluationSnapshot } from '../../protocol/page.ts';
import { servePage } from '../../protocol/pageChannel.ts';
import { loadPage, webviewPort } from '../pages/page.ts';
import { saveFromPage } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';
import { addFromFile } from './openEvaluation.ts';

const VIEW_TYPE = 'rankscope.evaluation';
/** The open pages of each checkpoint; a file with an evaluation opens another one. */
const panels = new Map<string, readonly vscode.WebviewPanel[]>();

/** Shows the page with the evaluations of a checkpoint. */
export function openEvaluations(workbench: Workbench, path: string): void {
  const open = panels.get(path)?.at(-1);
  if (open) {
    open.reveal();
    return;
  }
  showEvaluations(
    workbench,
    vscode.window.createWebviewPanel(VIEW_TYPE, titleOf(path), vscode.ViewColumn.Active),
    path,
  );
}

/** Restores the pages of a restored window: each kept the path of its checkpoint. */
export function registerEvaluation(workbench: Workbench): void {
  workbench.context.subscriptions.push(
    vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, {
      async deserializeWebviewPanel(panel, kept: unknown) {
        const path = (kept as { path?: unknown } | undefined)?.path;
        if (typeof path === 'string' && path !== '') showEvaluations(workbench, panel, path);
        else panel.dispose();
      },
    }),
  );
}

/** Serves the page in `panel`. A run ends with the last page that shows it. */
export function showEvaluations(workbench: Workbench, panel: vscode.WebviewPanel, path: string): void {
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
  panels.set(path, [...(panels.get(path) ?? []), panel]);
  panel.onDidDispose(() => {
    off();
    page.close();
    const others = (panels.get(path) ?? []).filter((other) => other !== panel);
    if (others.length > 0) panels.set(path, others);
    else {
      panels.delete(path);
      void evaluations.cancel();
    }
  });
  panel.title = titleOf(path);
  panel.iconPath = vscode.Uri.joinPath(workbench.context.extensionUri, 'media/icon.svg');
  loadPage(panel.webview, workbench.context.extensionUri, 'evaluation', titleOf(path));
}

const titleOf = (path: string): string => `Perplexity: ${baseName(path)}`;
