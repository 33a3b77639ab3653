import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import * as vscode from 'vscode';

const SKIPPED = ['node_modules', '.git', '.venv', 'venv', 'site-packages', 'build', 'dist'];
/** Folders that are read where VS Code's own search does not work. */
const FOLDER_LIMIT = 500;

/** Files of the workspace on disk whose name has one of these endings. */
export async function workspaceFiles(
  endings: readonly string[],
  limit: number,
  log: vscode.LogOutputChannel,
): Promise<string[]> {
  try {
    const found = await vscode.workspace.findFiles(`**/*{${endings}}`, `**/{${SKIPPED}}/**`, limit);
    return found.filter(({ scheme }) => scheme === 'file').map(({ fsPath }) => fsPath);
  } catch (error) {
    // The search is a program of its own, and not every installation has it.
    log.warn(`The workspace is searched without VS Code's search, which failed: ${error}`);
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
      // Folders that are found are gone through after those that are known.
      else if (entry.isDirectory() && !SKIPPED.includes(entry.name) && folders.length < FOLDER_LIMIT) {
        folders.push(join(folder, entry.name));
      }
    }
  }
  return files;
}
