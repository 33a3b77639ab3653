import * as vscode from 'vscode';
import { isEnabled } from '../settings.ts';
import type { CodeTexts } from './codeTexts.ts';

/** The median effective rank behind the name of each layer that lies in an analyzed checkpoint. */
export class RankHints implements vscode.InlayHintsProvider {
  constructor(
    private readonly texts: CodeTexts,
    readonly onDidChangeInlayHints: vscode.Event<void>,
  ) {}

  async provideInlayHints(document: vscode.TextDocument, visible: vscode.Range): Promise<vscode.InlayHint[]> {
    if (!isEnabled('inlayHints')) return [];
    const question = await this.texts.question(document);
    if (!question) return [];
    const lines = { from: visible.start.line, to: visible.end.line };
    const hints = await this.texts.thread.call('hints', { ...question, ...lines });
    return hints
      .map(({ span, label, tooltip }) => {
        const hint = new vscode.InlayHint(new vscode.Position(span.line, span.end), label);
        hint.tooltip = tooltip;
        hint.paddingLeft = true;
        return hint;
      })
      .filter(({ position }) => visible.contains(position));
  }
}
