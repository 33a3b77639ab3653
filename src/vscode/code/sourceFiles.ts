import { readFile, stat } from 'node:fs/promises';
import { dirname, sep } from 'node:path';
import * as vscode from 'vscode';
import type { ModulePaths, TextReference } from '../../code/codeCalls.ts';
import type { SourceText } from '../../code/codeModel.ts';
import { importCandidates } from '../../code/importPaths.ts';
import type { CodeThread } from '../../window/codeThread.ts';
import type { Workbench } from '../workbench.ts';
import { workspaceFiles } from './workspaceFiles.ts';

/** Larger files, in bytes, hold data and not a model. */
const SIZE_LIMIT = 400_000;
/** Imported files that are followed at most. */
const IMPORT_LIMIT = 40;
/** Other Python files of the workspace that are matched with checkpoints at most. */
const OTHERS_LIMIT = 40;

/**
 * The text of Python files, from an editor if they are open there, else from disk. The thread is told of each text
 * before a question names it.
 */
export class SourceFiles {
  private readonly onDisk = new Map<string, SourceText>();
  private paths: Promise<string[]> | undefined;
  private others: Promise<TextReference[]> | undefined;
  /** Files that changed since `others` was read. */
  private readonly changed = new Set<string>();

  constructor(
    private readonly workbench: Workbench,
    private readonly thread: CodeThread,
  ) {
    const watcher = vscode.workspace.createFileSystemWatcher('**/*.py');
    const forget = () => {
      this.paths = undefined;
      this.others = undefined;
    };
    watcher.onDidCreate(forget);
    watcher.onDidDelete(forget);
    watcher.onDidChange((uri) => this.changed.add(uri.toString()));
    // A new thread knows none of the texts.
    thread.ended.on(forget);
    workbench.context.subscriptions.push(
      watcher,
      // From now on the text on disk counts.
      vscode.workspace.onDidCloseTextDocument(({ uri }) => this.changed.add(uri.toString())),
      vscode.workspace.onDidChangeTextDocument(({ document: { languageId, uri } }) => {
        if (languageId === 'python') this.changed.add(uri.toString());
      }),
    );
  }

  /** A document, with the cells of its notebook and the workspace files that it imports. */
  async reference(document: vscode.TextDocument): Promise<TextReference> {
    const source = sourceText(document);
    const language = document.languageId;
    if (language === 'python') {
      return this.program(source, cellsOf(document) ?? [source], dirname(document.uri.fsPath));
    }
    this.thread.know(source);
    return { language, key: source.key, cells: [source.key], imported: [], resolved: [] };
  }

  /** The other Python files of the workspace that define modules, read on the first call. */
  async otherPrograms(than: vscode.TextDocument): Promise<TextReference[]> {
    const own = than.uri.toString();
    // Typing in this document does not change the others.
    if ([...this.changed].some((key) => key !== own)) {
      this.others = undefined;
      this.changed.clear();
    }
    this.others ??= this.readOthers();
    return (await this.others).filter(({ key }) => key !== own);
  }

  private async readOthers(): Promise<TextReference[]> {
    this.paths ??= workspaceFiles(['.py'], 10 * OTHERS_LIMIT, this.workbench.log);
    const programs: TextReference[] = [];
    for (const fsPath of await this.paths) {
      const source = await this.read(fsPath);
      if (!source || !/\bModule\b/.test(source.text)) continue;
      programs.push(await this.program(source, [source], dirname(fsPath)));
      if (programs.length === OTHERS_LIMIT) break;
    }
    return programs;
  }

  private async program(source: SourceText, cells: readonly SourceText[], folder: string): Promise<TextReference> {
    const imported = new Map<string, TextReference['imported'][number]>();
    const follow = async (keys: readonly string[], from: string): Promise<ModulePaths> => {
      const found = new Map<string, string>();
      for (const module of new Set(await this.thread.call('imports', { keys }))) {
        const file = await this.locate(module, from);
        if (!file) continue;
        found.set(module, file.path);
        const { key } = file.source;
        if (imported.has(file.path) || imported.size >= IMPORT_LIMIT || key === source.key) continue;
        this.thread.know(file.source);
        // Added before its own imports are followed, so that circular imports end here.
        imported.set(file.path, { path: file.path, key, resolved: [] });
        imported.set(file.path, { path: file.path, key, resolved: await follow([key], dirname(file.path)) });
      }
      return [...found];
    };
    for (const text of [source, ...cells]) this.thread.know(text);
    const keys = cells.map(({ key }) => key);
    const resolved = await follow(keys, folder);
    return { language: 'python', key: source.key, cells: keys, imported: [...imported.values()], resolved };
  }

  private async locate(module: string, folder: string): Promise<{ path: string; source: SourceText } | undefined> {
    const roots = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath);
    for (const candidate of importCandidates(module, folder, roots)) {
      // Files outside the workspace are libraries.
      if (!roots.some((root) => candidate.startsWith(root + sep))) continue;
      const source = await this.read(candidate);
      if (source) return { path: candidate, source };
    }
    return undefined;
  }

  private async read(file: string): Promise<SourceText | undefined> {
    const key = vscode.Uri.file(file).toString();
    const open = vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === key);
    if (open) return sourceText(open);
    try {
      const { size, mtimeMs } = await stat(file);
      if (size > SIZE_LIMIT) return undefined;
      const known = this.onDisk.get(key);
      // The modification time serves as the version. It never equals an editor's version, which is a small whole
      // number.
      if (known?.version === mtimeMs) return known;
      const source = { key, version: mtimeMs, text: await readFile(file, 'utf8') };
      this.onDisk.set(key, source);
      return source;
    } catch {
      return undefined;
    }
  }
}

function sourceText(document: vscode.TextDocument): SourceText {
  return { key: document.uri.toString(), version: document.version, text: document.getText() };
}

/** The Python cells of a document's notebook, which form one program; undefined outside of notebooks. */
function cellsOf(document: vscode.TextDocument): SourceText[] | undefined {
  if (document.uri.scheme !== 'vscode-notebook-cell') return undefined;
  const notebook = vscode.workspace.notebookDocuments.find((candidate) =>
    candidate.getCells().some((cell) => cell.document === document),
  );
  return notebook
    ?.getCells()
    .filter(({ kind, document: { languageId } }) => kind === vscode.NotebookCellKind.Code && languageId === 'python')
    .map((cell) => sourceText(cell.document));
}
