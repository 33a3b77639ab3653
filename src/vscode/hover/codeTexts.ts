import * as vscode from 'vscode';
import { CodeModel } from '../code/codeModel.ts';
import type { CodeText } from '../code/insight.ts';
import { loadPythonParser, type TextEdit } from '../code/pythonParser.ts';
import type { Workbench } from '../workbench.ts';

/** The parsed state of open documents; the grammar is loaded when the first document asks. */
export class CodeTexts {
  private loading: Promise<CodeModel> | undefined;
  private loaded: CodeModel | undefined;

  constructor(private readonly workbench: Workbench) {
    workbench.context.subscriptions.push(
      vscode.workspace.onDidChangeTextDocument((event) => this.onChange(event)),
      vscode.workspace.onDidCloseTextDocument((document) => this.loaded?.drop(document.uri.toString())),
    );
  }

  model(): Promise<CodeModel> {
    this.loading ??= this.load();
    return this.loading;
  }

  private async load(): Promise<CodeModel> {
    const { context } = this.workbench;
    const parser = await loadPythonParser({
      runtime: context.asAbsolutePath('dist/web-tree-sitter.wasm'),
      python: context.asAbsolutePath('dist/tree-sitter-python.wasm'),
    });
    this.loaded = new CodeModel(parser);
    return this.loaded;
  }

  private onChange({ document, contentChanges }: vscode.TextDocumentChangeEvent): void {
    if (!this.loaded || contentChanges.length === 0) return;
    this.loaded.edit(document.uri.toString(), document.version, contentChanges.map(textEdit));
  }
}

/** A document as text with what belongs to it: a cell's notebook is one program. */
export function codeText(document: vscode.TextDocument): CodeText {
  const cells = notebookOf(document)
    ?.getCells()
    .filter(({ kind, document: { languageId } }) => kind === vscode.NotebookCellKind.Code && languageId === 'python')
    .map((cell) => sourceText(cell.document));
  const source = sourceText(document);
  const universeKey = cells ? document.uri.with({ fragment: '' }).toString() : source.key;
  return { language: document.languageId, source, siblings: cells ?? [], universeKey };
}

function sourceText(document: vscode.TextDocument) {
  return { key: document.uri.toString(), version: document.version, text: document.getText() };
}

function notebookOf(document: vscode.TextDocument): vscode.NotebookDocument | undefined {
  if (document.uri.scheme !== 'vscode-notebook-cell') return undefined;
  return vscode.workspace.notebookDocuments.find((notebook) =>
    notebook.getCells().some((cell) => cell.document === document),
  );
}

/** A change as the parser wants it; changes come ordered so that each can be applied after the one before. */
function textEdit({ range, rangeOffset, rangeLength, text }: vscode.TextDocumentContentChangeEvent): TextEdit {
  const lines = text.split(/\r\n|\r|\n/);
  const last = lines.at(-1)?.length ?? 0;
  const { start, end } = range;
  return {
    startIndex: rangeOffset,
    oldEndIndex: rangeOffset + rangeLength,
    newEndIndex: rangeOffset + text.length,
    startPosition: { row: start.line, column: start.character },
    oldEndPosition: { row: end.line, column: end.character },
    newEndPosition: {
      row: start.line + lines.length - 1,
      column: lines.length === 1 ? start.character + last : last,
    },
  };
}
