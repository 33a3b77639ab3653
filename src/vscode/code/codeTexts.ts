import * as vscode from 'vscode';
import type { Question } from '../../code/codeCalls.ts';
import type { TextEdit } from '../../code/pythonParser.ts';
import { CodeThread } from '../../window/codeThread.ts';
import type { Workbench } from '../workbench.ts';
import type { CheckpointsNearby } from './checkpointsNearby.ts';
import { SourceFiles } from './sourceFiles.ts';

/** Open documents, as the code thread knows them. */
export class CodeTexts {
  readonly thread: CodeThread;
  private readonly files: SourceFiles;

  constructor(
    workbench: Workbench,
    private readonly nearby: CheckpointsNearby,
  ) {
    const { context, log } = workbench;
    this.thread = new CodeThread({
      script: context.asAbsolutePath('dist/codeWorker.cjs'),
      grammar: {
        runtime: context.asAbsolutePath('dist/web-tree-sitter.wasm'),
        python: context.asAbsolutePath('dist/tree-sitter-python.wasm'),
      },
      log: (line) => log.error(line),
    });
    this.files = new SourceFiles(workbench, this.thread);
    context.subscriptions.push(
      this.thread,
      vscode.workspace.onDidChangeTextDocument((event) => this.onChange(event)),
      vscode.workspace.onDidCloseTextDocument((document) => this.thread.close(document.uri.toString())),
    );
  }

  /** The texts and checkpoints that a question about `document` refers to; undefined without a checkpoint. */
  async question(document: vscode.TextDocument): Promise<Question | undefined> {
    const sessions = await this.nearby.sessions();
    if (sessions.length === 0) return undefined;
    this.thread.followOnly(sessions);
    await Promise.all(sessions.map((session) => this.thread.follow(session)));
    const others = document.languageId === 'python' ? await this.files.otherPrograms(document) : [];
    return { text: await this.files.reference(document), others, paths: sessions.map(({ path }) => path) };
  }

  private onChange({ document, contentChanges }: vscode.TextDocumentChangeEvent): void {
    if (contentChanges.length === 0) return;
    this.thread.edit({
      key: document.uri.toString(),
      version: document.version,
      edits: contentChanges.map(textEdit),
    });
  }
}

/** A change in the terms of the parser. VS Code orders changes so that each can be applied after the one before. */
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
