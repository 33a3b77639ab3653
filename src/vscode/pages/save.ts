import { basename, dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { RankscopeError } from '../../base/errors.ts';
import type { SaveRequest } from '../../protocol/page.ts';

/** @throws RankscopeError 'wrong-use' in an untrusted workspace, where Rankscope writes nothing. */
export function requireTrust(): void {
  if (vscode.workspace.isTrusted) return;
  throw new RankscopeError(
    'wrong-use',
    'this workspace',
    'not trusted, so Rankscope does not write files',
    'Trust it with the command "Workspaces: Manage Workspace Trust"',
  );
}

/** Saves what a page exports where the user says, by default beside `checkpoint`; false if the user cancels. */
export async function saveFromPage(request: SaveRequest, checkpoint: string): Promise<boolean> {
  requireTrust();
  const target = await vscode.window.showSaveDialog({
    defaultUri: vscode.Uri.file(join(dirname(checkpoint), basename(request.suggestedName))),
  });
  if (!target) return false;
  await vscode.workspace.fs.writeFile(target, Buffer.from(request.content, request.encoding));
  return true;
}

/** Asks whether existing files may be replaced. */
export async function mayReplace(files: readonly string[]): Promise<boolean> {
  const question = `Replace ${files.map((file) => basename(file)).join(' and ')}?`;
  return (
    (await vscode.window.showWarningMessage(question, { modal: true, detail: files.join('\n') }, 'Replace')) ===
    'Replace'
  );
}
