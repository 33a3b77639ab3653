import { dirname } from 'node:path';
import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import type { Workbench } from '../workbench.ts';

/** Asks for another model than `path`: one that is open, a file or a folder; undefined if the person cancels. */
export async function askModel({ store }: Workbench, title: string, path: string): Promise<string | undefined> {
  const known = store.known().filter((session) => session.path !== path);
  const picked = await vscode.window.showQuickPick(
    [
      { label: '$(file) A file…', choice: 'file' as const },
      { label: '$(folder-opened) A folder…', choice: 'folder' as const },
      ...known.map((session) => ({
        label: baseName(session.path),
        description: session.path,
        choice: 'known' as const,
        path: session.path,
      })),
    ],
    { title, matchOnDescription: true },
  );
  if (!picked) return undefined;
  if (picked.choice === 'known') return picked.path;
  // Dialogs of some systems choose either files or folders, not both.
  const isFolder = picked.choice === 'folder';
  const uris = await vscode.window.showOpenDialog({
    title,
    openLabel: 'Choose',
    canSelectFiles: !isFolder,
    canSelectFolders: isFolder,
    defaultUri: vscode.Uri.file(dirname(path)),
  });
  return uris?.[0]?.fsPath;
}
