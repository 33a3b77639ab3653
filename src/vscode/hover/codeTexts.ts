import * as vscode from 'vscode';
import { CodeModel } from '../code/codeModel.ts';
import { loadPythonParser, type TextEdit } from '../code/pythonParser.ts';
import type { Workbench } from '../workbench.ts';
import type { CheckpointsNearby } from './checkpointsNearby.ts';
import { SourceFiles } from './sourceFiles.ts';

/** The parsed state of open documents; the grammar is loaded when the first document asks. */
export class CodeTexts {
  private loading: Promise<CodeModel> | undefined;
  private loaded: CodeModel | undefined;

  readonly files: SourceFiles;

  constructor(private readonly workbench: Workbench) {
    this.files = new SourceFiles(workbench);
    workbench.context.subscriptions.push(
      vscode.workspace.onDidChangeTextDocument((event) => this.onChange(event)),
      vscode.workspace.onDidCloseTextDocument((document) => this.loaded?.drop(document.uri.toString())),
    );
  }

  model(): Promise<CodeModel> {
    this.loading ??= this.load();
    return this.loading;
  }

  /** Everything that an answer about `document` needs. */
  async around(document: vscode.TextDocument, nearby: CheckpointsNearby) {
    const [model, sessions] = await Promise.all([this.model(), nearby.sessions()]);
    const isCompared = document.languageId === 'python' && sessions.length > 0;
    const others = isCompared ? await this.files.otherPrograms(model, document) : [];
    return { model, sessions, others, text: await this.files.codeText(model, document) };
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
