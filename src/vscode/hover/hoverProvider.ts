import * as vscode from 'vscode';
import { HOVER_COMMANDS, hoverText } from '../code/hoverText.ts';
import { insightsAt } from '../code/insight.ts';
import type { Span } from '../code/moduleCode.ts';
import { isEnabled } from '../settings.ts';
import type { CheckpointsNearby } from './checkpointsNearby.ts';
import type { CodeTexts } from './codeTexts.ts';

/** Shows the ranks of the layer under the pointer; nothing where it is not certain which one that is. */
export class RankHover implements vscode.HoverProvider {
  constructor(
    private readonly texts: CodeTexts,
    private readonly nearby: CheckpointsNearby,
  ) {}

  async provideHover(document: vscode.TextDocument, position: vscode.Position): Promise<vscode.Hover | undefined> {
    if (!isEnabled('hover')) return undefined;
    const { model, sessions, others, text } = await this.texts.around(document, this.nearby);
    const at = { row: position.line, column: position.character, offset: document.offsetAt(position) };
    const insights = insightsAt(model, text, at, sessions, others);
    const [first] = insights;
    if (!first) return undefined;
    const contents = insights.map(({ session, groups }) => {
      const content = new vscode.MarkdownString(hoverText(session.path, groups));
      content.isTrusted = { enabledCommands: HOVER_COMMANDS };
      return content;
    });
    return new vscode.Hover(contents, rangeOf(first.span));
  }
}

export const rangeOf = ({ line, start, end }: Span): vscode.Range => new vscode.Range(line, start, line, end);
