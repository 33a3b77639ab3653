import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import type { CodeModel, SourceText } from '../code/codeModel.ts';
import { importCandidates } from '../code/importPaths.ts';
import type { CodeText, ImportedFile } from '../code/program.ts';
import type { Workbench } from '../workbench.ts';
import { workspaceFiles } from './workspaceFiles.ts';

/** Larger files are data, not models. */
const SIZE_LIMIT = 400_000;
/** A model that is spread over more files than these is not followed to its end. */
const IMPORT_LIMIT = 40;
/** Files of the workspace that are asked whether they make the model. */
const OTHERS_LIMIT = 40;

/** Python files as texts: as they are in an editor where one has them open, else as on disk. */
export class SourceFiles {
  private readonly onDisk = new Map<string, SourceText>();
  private paths: Promise<string[]> | undefined;
  private others: Promise<CodeText[]> | undefined;
  /** Files that changed since the others were read. */
  private readonly changed = new Set<string>();

  constructor(private readonly workbench: Workbench) {
    const watcher = vscode.workspace.createFileSystemWatcher('**/*.py');
    const forget = () => {
      this.paths = undefined;
      this.others = undefined;
    };
    watcher.onDidCreate(forget);
    watcher.onDidDelete(forget);
    watcher.onDidChange((uri) => this.changed.add(uri.toString()));
    workbench.context.subscriptions.push(
      watcher,
      vscode.workspace.onDidChangeTextDocument(({ document: { languageId, uri } }) => {
        if (languageId === 'python') this.changed.add(uri.toString());
      }),
    );
  }

  /** A document with its notebook's cells and with the files of the workspace that it imports. */
  async codeText(model: CodeModel, document: vscode.TextDocument): Promise<CodeText> {
    const source = sourceText(document);
    const language = document.languageId;
    if (language !== 'python')
      return { language, source, cells: [source], imported: new Map(), resolve: () => undefined };
    return this.program(model, source, cellsOf(document) ?? [source], path.dirname(document.uri.fsPath));
  }

  /** The other Python files of the workspace that define modules. They are read and parsed when first asked for. */
  otherPrograms(model: CodeModel, than: vscode.TextDocument): Promise<CodeText[]> {
    const own = sourceText(than);
    // What is typed into this document does not change the others.
    if ([...this.changed].some((key) => key !== own.key)) {
      this.others = undefined;
      this.changed.clear();
    }
    this.others ??= this.readOthers(model);
    return this.others.then((all) =>
      all
        .filter(({ source }) => source.key !== own.key)
        .map((other) => {
          const file = other.imported.get(than.uri.fsPath);
          // Where another file imports this one, it is this very text.
          return file
            ? { ...other, imported: new Map(other.imported).set(than.uri.fsPath, { ...file, source: own }) }
            : other;
        }),
    );
  }

  private async readOthers(model: CodeModel): Promise<CodeText[]> {
    this.paths ??= workspaceFiles(['.py'], 10 * OTHERS_LIMIT, this.workbench.log);
    const programs: CodeText[] = [];
    for (const fsPath of await this.paths) {
      const source = await this.read(fsPath);
      if (!source || !/\bModule\b/.test(source.text)) continue;
      programs.push(await this.program(model, source, [source], path.dirname(fsPath)));
      if (programs.length === OTHERS_LIMIT) break;
      // Parsing takes its time: the extension host is not to be held for more than one file.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return programs;
  }

  private async program(
    model: CodeModel,
    source: SourceText,
    cells: readonly SourceText[],
    folder: string,
  ): Promise<CodeText> {
    const imported = new Map<string, ImportedFile>();
    const follow = async (
      modules: readonly string[],
      from: string,
    ): Promise<(module: string) => string | undefined> => {
      const found = new Map<string, string>();
      for (const module of new Set(modules)) {
        const file = await this.locate(module, from);
        if (!file) continue;
        found.set(module, file.path);
        if (imported.has(file.path) || imported.size >= IMPORT_LIMIT || file.source.key === source.key) continue;
        // Taken in before its own imports are followed: files that import each other end here.
        imported.set(file.path, { source: file.source, resolve: () => undefined });
        const own = model.parse(file.source).imports.map((name) => name.module);
        imported.set(file.path, { source: file.source, resolve: await follow(own, path.dirname(file.path)) });
      }
      return (module) => found.get(module);
    };
    const modules = cells.flatMap((cell) => model.parse(cell).imports.map(({ module }) => module));
    return { language: 'python', source, cells, imported, resolve: await follow(modules, folder) };
  }

  private async locate(module: string, folder: string): Promise<{ path: string; source: SourceText } | undefined> {
    const roots = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath);
    for (const candidate of importCandidates(module, folder, roots)) {
      // What is not in the workspace is a library.
      if (!roots.some((root) => candidate.startsWith(root + path.sep))) continue;
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
