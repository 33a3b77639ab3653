import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as vscode from 'vscode';

const SKIPPED = ['node_modules', '.git', '.venv', 'venv', 'site-packages', 'build', 'dist'];
/** Folders read at most where VS Code's own search does not work. */
const FOLDER_LIMIT = 500;

/** Workspace files on disk whose names have one of `endings`. */
export async function workspaceFiles(
  endings: readonly string[],
  limit: number,
  log: vscode.LogOutputChannel,
): Promise<string[]> {
  try {
    const found = await vscode.workspace.findFiles(`**/*{${endings}}`, `**/{${SKIPPED}}/**`, limit);
    return found.filter(({ scheme }) => scheme === 'file').map(({ fsPath }) => fsPath);
  } catch (error) {
    // VS Code's search is a separate program that some installations lack.
    log.warn(`VS Code's file search failed; the workspace folders are read instead: ${error}`);
    return (await walk()).filter((file) => endings.some((ending) => file.endsWith(ending))).slice(0, limit);
  }
}

async function walk(): Promise<string[]> {
  const folders = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath);
  const files: string[] = [];
  for (const folder of folders) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (entry.isFile()) files.push(join(folder, entry.name));
      // The loop reaches appended folders after those already in the list.
      else if (entry.isDirectory() && !SKIPPED.includes(entry.name) && folders.length < FOLDER_LIMIT) {
        folders.push(join(folder, entry.name));
      }
    }
  }
  return files;
}
