import { basename, dirname } from 'node:path';
import * as vscode from 'vscode';
import type { ScriptRequest } from '../../protocol/service.ts';
import type { Workbench } from '../workbench.ts';

/** The results that are waited for, in this window. */
const watched = new Set<string>();
/** Several events tell of one file. */
const SETTLED_MS = 300;

/** Offers to show what a script writes to `file`, each time it is written. */
export function watchResult({ context }: Workbench, kind: ScriptRequest['kind'], path: string, file: string): void {
  if (watched.has(file)) return;
  watched.add(file);
  // Only the folder goes into the pattern: a name may have characters with a meaning there.
  const pattern = new vscode.RelativePattern(vscode.Uri.file(dirname(file)), '*');
  const watcher = vscode.workspace.createFileSystemWatcher(pattern, false, false, true);
  let timer: NodeJS.Timeout | undefined;
  const written = ({ fsPath }: vscode.Uri) => {
    if (fsPath !== file) return;
    clearTimeout(timer);
    timer = setTimeout(() => void offer(kind, path, file), SETTLED_MS);
  };
  watcher.onDidCreate(written);
  watcher.onDidChange(written);
  context.subscriptions.push(watcher, { dispose: () => clearTimeout(timer) });
}

async function offer(kind: ScriptRequest['kind'], path: string, file: string): Promise<void> {
  const [action, command, words] = offers(path, file)[kind];
  const picked = await vscode.window.showInformationMessage(`${basename(file)} is there.`, action);
  if (picked !== undefined) await vscode.commands.executeCommand(command, ...words);
}

/** What a button says, and the command behind it. */
const offers = (path: string, file: string) =>
  ({
    evaluate: ['Show', 'rankscope.openEvaluation', [vscode.Uri.file(file)]],
    calibrate: ['Use', 'rankscope.useActivations', [vscode.Uri.file(path), file]],
    compress: ['Analyze', 'rankscope.analyze', [vscode.Uri.file(file)]],
  }) as const;
