import * as vscode from 'vscode';
import { isEnabled } from '../settings.ts';
import type { CodeTexts } from './codeTexts.ts';
import { rangeOf } from './hoverProvider.ts';

/** One line above each class that lies in an analyzed checkpoint. */
export class RankLens implements vscode.CodeLensProvider {
  constructor(
    private readonly texts: CodeTexts,
    readonly onDidChangeCodeLenses: vscode.Event<void>,
  ) {}

  async provideCodeLenses(document: vscode.TextDocument): Promise<vscode.CodeLens[]> {
    if (!isEnabled('codeLens')) return [];
    const question = await this.texts.question(document);
    const lines = question ? await this.texts.thread.call('lines', question) : [];
    return lines.map(
      ({ span, title, path, name }) =>
        new vscode.CodeLens(rangeOf(span), { title, command: 'rankscope.reveal', arguments: [{ path, name }] }),
    );
  }
}
