import * as vscode from 'vscode';
import { type ClassInsight, classInsights } from '../code/insight.ts';
import { isEnabled } from '../settings.ts';
import type { CheckpointsNearby } from './checkpointsNearby.ts';
import type { CodeTexts } from './codeTexts.ts';
import { rangeOf } from './hoverProvider.ts';

/** One line above each class that lies in an analyzed checkpoint. */
export class RankLens implements vscode.CodeLensProvider {
  constructor(
    private readonly texts: CodeTexts,
    private readonly nearby: CheckpointsNearby,
    readonly onDidChangeCodeLenses: vscode.Event<void>,
  ) {}

  async provideCodeLenses(document: vscode.TextDocument): Promise<vscode.CodeLens[]> {
    if (!isEnabled('codeLens')) return [];
    const { model, sessions, others, text } = await this.texts.around(document, this.nearby);
    return classInsights(model, text, sessions, others).map((insight) => {
      const name = insight.groups.find(({ findings }) => findings.length > 0)?.findings[0]?.name;
      return new vscode.CodeLens(rangeOf(insight.of.span), {
        title: lensTitle(insight),
        command: 'rankscope.reveal',
        arguments: [{ path: insight.session.path, name }],
      });
    });
  }
}

function lensTitle({ groups, places }: ClassInsight): string {
  const findings = groups.flatMap((group) => group.findings);
  const share =
    findings.reduce((sum, { effectiveRank, shape }) => sum + effectiveRank / Math.min(...shape), 0) / findings.length;
  const where = places === 1 ? '' : ` in ${places} places`;
  const count = findings.length === 1 ? '1 matrix' : `${findings.length} matrices`;
  return `Rankscope: ${count}${where}, effective rank ${Math.round(100 * share)} % on average`;
}
