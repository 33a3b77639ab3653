import * as vscode from 'vscode';
import type { Workbench } from '../workbench.ts';
import { CheckpointsNearby } from './checkpointsNearby.ts';
import { RankLens } from './codeLens.ts';
import { CodeTexts } from './codeTexts.ts';
import { RankHover } from './hoverProvider.ts';
import { RankHints } from './inlayHints.ts';

/** What is drawn into code follows a run this often. */
const REFRESH_MS = 1000;

/** Ranks in code: hovers, lenses above classes, hints behind layers. */
export function registerCode(workbench: Workbench): void {
  const texts = new CodeTexts(workbench, new CheckpointsNearby(workbench));
  const changed = new vscode.EventEmitter<void>();
  let timer: NodeJS.Timeout | undefined;
  workbench.store.updates.on(() => {
    timer ??= setTimeout(() => {
      timer = undefined;
      changed.fire();
    }, REFRESH_MS);
  });
  const python = { language: 'python' };
  const selector = ['python', 'json', 'jsonc', 'yaml'].map((language) => ({ language }));
  workbench.context.subscriptions.push(
    changed,
    { dispose: () => clearTimeout(timer) },
    vscode.languages.registerHoverProvider(selector, new RankHover(texts)),
    vscode.languages.registerCodeLensProvider(python, new RankLens(texts, changed.event)),
    vscode.languages.registerInlayHintsProvider(python, new RankHints(texts, changed.event)),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration('rankscope')) changed.fire();
    }),
  );
}
