import { readFile, stat } from 'node:fs/promises';
import { dirname, sep } from 'node:path';
import * as vscode from 'vscode';
import type { ModulePaths, TextReference } from '../../code/codeCalls.ts';
import type { SourceText } from '../../code/codeModel.ts';
import { importCandidates } from '../../code/importPaths.ts';
import type { CodeThread } from '../../window/codeThread.ts';
import type { Workbench } from '../workbench.ts';
import { workspaceFiles } from './workspaceFiles.ts';

/** Larger files are data, not models. */
const SIZE_LIMIT = 400_000;
/** A model that is spread over more files than these is not followed to its end. */
const IMPORT_LIMIT = 40;
/** Files of the workspace that are asked whether they make the model. */
const OTHERS_LIMIT = 40;

/** Python files as texts: as they are in an editor where one has them open, else as on disk. The thread is told of each before it is named. */
export class SourceFiles {
  private readonly onDisk = new Map<string, SourceText>();
  private paths: Promise<string[]> | undefined;
  private others: Promise<TextReference[]> | undefined;
  /** Files that changed since the others were read. */
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
    // Another thread knows none of them.
    thread.ended.on(forget);
    workbench.context.subscriptions.push(
      watcher,
      // From now on it is as on disk.
      vscode.workspace.onDidCloseTextDocument(({ uri }) => this.changed.add(uri.toString())),
      vscode.workspace.onDidChangeTextDocument(({ document: { languageId, uri } }) => {
        if (languageId === 'python') this.changed.add(uri.toString());
      }),
    );
  }

  /** A document with its notebook's cells and with the files of the workspace that it imports. */
  async reference(document: vscode.TextDocument): Promise<TextReference> {
    const source = sourceText(document);
    const language = document.languageId;
    if (language === 'python') {
      return this.program(source, cellsOf(document) ?? [source], dirname(document.uri.fsPath));
    }
    this.thread.know(source);
    return { language, key: source.key, cells: [source.key], imported: [], resolved: [] };
  }

  /** The other Python files of the workspace that define modules. They are read and parsed when first asked for. */
  async otherPrograms(than: vscode.TextDocument): Promise<TextReference[]> {
    const own = than.uri.toString();
    // What is typed into this document does not change the others.
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
        // Taken in before its own imports are followed: files that import each other end here.
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
      // What is not in the workspace is a library.
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
      // The time stands for the version; an editor's versions are small whole numbers and never the same.
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

/** All Python cells of the notebook that a document is a cell of: they are one program. */
function cellsOf(document: vscode.TextDocument): SourceText[] | undefined {
  if (document.uri.scheme !== 'vscode-notebook-cell') return undefined;
  const notebook = vscode.workspace.notebookDocuments.find((one) =>
    one.getCells().some((cell) => cell.document === document),
  );
  return notebook
    ?.getCells()
    .filter(({ kind, document: { languageId } }) => kind === vscode.NotebookCellKind.Code && languageId === 'python')
    .map((cell) => sourceText(cell.document));
}
