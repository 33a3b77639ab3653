import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import type { DiffCalls, DiffSnapshot } from '../../protocol/page.ts';
import { servePage } from '../../protocol/pageChannel.ts';
import { ModelComparison } from '../../window/diff/modelComparison.ts';
import { reveal } from '../commands/reveal.ts';
import { extractDifference } from '../lora/makeAdapter.ts';
import { loadPage, webviewPort } from '../pages/page.ts';
import { saveFromPage } from '../pages/save.ts';
import { engineRequest } from '../settings.ts';
import type { Workbench } from '../workbench.ts';
import { restoreHeads } from './restoreHeads.ts';

const VIEW_TYPE = 'rankscope.diff';

/** Opens a page of two models and starts the comparison. */
export function openDiff(workbench: Workbench, base: string, other: string): void {
  const panel = vscode.window.createWebviewPanel(VIEW_TYPE, 'Models', vscode.ViewColumn.Active);
  showDiff(workbench, panel, base, other);
}

/** Restores the pages of a restored window: each kept the paths of its models. */
export function registerDiff(workbench: Workbench): void {
  workbench.context.subscriptions.push(
    vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, {
      async deserializeWebviewPanel(panel, kept: unknown) {
        const { base, other } = (kept ?? {}) as { base?: unknown; other?: unknown };
        if (typeof base === 'string' && typeof other === 'string') showDiff(workbench, panel, base, other);
        else panel.dispose();
      },
    }),
  );
}

function showDiff(workbench: Workbench, panel: vscode.WebviewPanel, base: string, other: string): void {
  const { engine, context } = workbench;
  const comparison = new ModelComparison(base, other, engine.service, engineRequest);
  const page = servePage<DiffCalls, Partial<DiffSnapshot>>(webviewPort(panel.webview), {
    ready: async () => comparison.snapshot(),
    run: async () => void comparison.start(),
    cancel: () => comparison.cancel(),
    swap: async () => void comparison.swap(),
    spectra: ({ name }) => comparison.spectra(name),
    reveal: (target) => reveal(workbench, target),
    restore: ({ heads }) => restoreHeads(workbench, comparison, heads),
    extract: () => extractDifference(workbench, [comparison.snapshot().base, comparison.snapshot().other]),
    save: (request) => saveFromPage(request, comparison.snapshot().other),
  });
  const entitle = () => {
    const state = comparison.snapshot();
    panel.title = `${baseName(state.base)} ↔ ${baseName(state.other)}`;
  };
  const off = comparison.updates.on((update) => {
    page.update(update);
    if (update.base !== undefined) entitle();
  });
  panel.onDidDispose(() => {
    off();
    page.close();
    void comparison.cancel();
  });
  entitle();
  panel.iconPath = vscode.Uri.joinPath(context.extensionUri, 'media/icon.svg');
  loadPage(panel.webview, context.extensionUri, 'diff', panel.title);
  void comparison.start();
}
