import * as vscode from 'vscode';
import type { ComparisonCalls, ComparisonSnapshot } from '../../protocol/page.ts';
import { servePage } from '../../protocol/pageChannel.ts';
import { Comparison } from '../../window/comparison.ts';
import { reveal } from '../commands/reveal.ts';
import { loadPage, webviewPort } from '../pages/page.ts';
import { saveFromPage } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';

const VIEW_TYPE = 'rankscope.comparison';

/** Opens a comparison page and starts the comparison. */
export function openComparison(workbench: Workbench, paths: readonly string[]): void {
  const panel = vscode.window.createWebviewPanel(VIEW_TYPE, 'Adapters', vscode.ViewColumn.Active);
  showComparison(workbench, panel, paths);
}

/** Restores the comparison pages of a restored window: each page kept the paths of its adapters. */
export function registerComparison(workbench: Workbench): void {
  workbench.context.subscriptions.push(
    vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, {
      async deserializeWebviewPanel(panel, kept: unknown) {
        const paths = pathsOf(kept);
        if (paths) showComparison(workbench, panel, paths);
        else panel.dispose();
      },
    }),
  );
}

function showComparison(workbench: Workbench, panel: vscode.WebviewPanel, paths: readonly string[]): void {
  const comparison = new Comparison(paths, workbench.engine.service);
  const page = servePage<ComparisonCalls, Partial<ComparisonSnapshot>>(webviewPort(panel.webview), {
    ready: async () => comparison.snapshot(),
    run: async () => void comparison.start(),
    cancel: () => comparison.cancel(),
    reveal: (target) => reveal(workbench, target),
    save: (request) => saveFromPage(request, paths[0] ?? ''),
  });
  const off = comparison.updates.on((update) => {
    page.update(update);
    if (update.comparison) panel.title = update.comparison.adapters.map(({ label }) => label).join(' · ');
  });
  panel.onDidDispose(() => {
    off();
    page.close();
    void comparison.cancel();
  });
  panel.iconPath = vscode.Uri.joinPath(workbench.context.extensionUri, 'media/icon.svg');
  loadPage(panel.webview, workbench.context.extensionUri, 'comparison', 'Adapters');
  void comparison.start();
}

function pathsOf(kept: unknown): readonly string[] | undefined {
  const paths = (kept as { paths?: unknown } | undefined)?.paths;
  return Array.isArray(paths) && paths.length > 0 && paths.every((path) => typeof path === 'string')
    ? paths
    : undefined;
}
