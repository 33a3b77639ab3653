import * as vscode from 'vscode';
import { HOVER_COMMANDS } from '../../code/hoverText.ts';
import type { Span } from '../../code/moduleCode.ts';
import { isEnabled } from '../settings.ts';
import type { CodeTexts } from './codeTexts.ts';

/** Shows the ranks of the layer under the pointer; nothing where it is not certain which one that is. */
export class RankHover implements vscode.HoverProvider {
  constructor(private readonly texts: CodeTexts) {}

  async provideHover(document: vscode.TextDocument, position: vscode.Position): Promise<vscode.Hover | undefined> {
    if (!isEnabled('hover')) return undefined;
    const question = await this.texts.question(document);
    if (!question) return undefined;
    const at = { row: position.line, column: position.character, offset: document.offsetAt(position) };
    const answer = await this.texts.thread.call('hover', { ...question, at });
    if (!answer) return undefined;
    const contents = answer.texts.map((text) => {
      const content = new vscode.MarkdownString(text);
      content.isTrusted = { enabledCommands: HOVER_COMMANDS };
      return content;
    });
    return new vscode.Hover(contents, rangeOf(answer.span));
  }
}

export const rangeOf = ({ line, start, end }: Span): vscode.Range => new vscode.Range(line, start, line, end);
