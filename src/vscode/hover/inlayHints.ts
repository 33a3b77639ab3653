import * as vscode from 'vscode';
import { classInsights } from '../code/insight.ts';
import { rangeOf as rangeOfRanks } from '../code/rankSummary.ts';
import { isEnabled } from '../settings.ts';
import type { CheckpointsNearby } from './checkpointsNearby.ts';
import type { CodeTexts } from './codeTexts.ts';

/** The median effective rank behind the name of each layer that lies in an analyzed checkpoint. */
export class RankHints implements vscode.InlayHintsProvider {
  constructor(
    private readonly texts: CodeTexts,
    private readonly nearby: CheckpointsNearby,
    readonly onDidChangeInlayHints: vscode.Event<void>,
  ) {}

  async provideInlayHints(document: vscode.TextDocument, visible: vscode.Range): Promise<vscode.InlayHint[]> {
    if (!isEnabled('inlayHints')) return [];
    const { model, sessions, others, text } = await this.texts.around(document, this.nearby);
    return classInsights(model, text, sessions, others)
      .flatMap(({ fields }) => fields)
      .filter(({ span }) => visible.contains(new vscode.Position(span.line, span.end)))
      .map(({ span, group: { pattern, findings, matrices } }) => {
        const median = rangeOfRanks(findings.map(({ effectiveRank }) => effectiveRank))?.median ?? 0;
        const full = Math.max(...matrices.map(({ shape }) => Math.min(...shape)));
        const hint = new vscode.InlayHint(
          new vscode.Position(span.line, span.end),
          ` rank ${median.toFixed(1)}/${full}`,
        );
        hint.tooltip = `Median effective rank of ${pattern} and the largest it could be`;
        hint.paddingLeft = true;
        return hint;
      });
  }
}
