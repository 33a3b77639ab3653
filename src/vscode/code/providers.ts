import * as vscode from 'vscode';
import { HOVER_COMMANDS } from '../../code/hoverText.ts';
import type { Span } from '../../code/moduleCode.ts';
import { isEnabled } from '../settings.ts';
import type { Workbench } from '../workbench.ts';
import { CheckpointsNearby } from './checkpointsNearby.ts';
import { CodeTexts } from './codeTexts.ts';

/** How often lenses and hints are refreshed during a run. */
const REFRESH_MS = 1000;

/** Shows ranks in code: in hovers, in lenses above classes, and in hints after layers. */
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

/** Shows the ranks of the layer under the pointer, unless it is uncertain which layer that is. */
class RankHover implements vscode.HoverProvider {
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

const rangeOf = ({ line, start, end }: Span): vscode.Range => new vscode.Range(line, start, line, end);

/** A line above each class that is found in an analyzed checkpoint. */
class RankLens implements vscode.CodeLensProvider {
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

/** The median effective rank after the name of each layer that is found in an analyzed checkpoint. */
class RankHints implements vscode.InlayHintsProvider {
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
