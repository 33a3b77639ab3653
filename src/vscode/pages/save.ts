import { basename, dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { RankscopeError } from '../../base/errors.ts';
import type { SaveRequest } from '../../protocol/page.ts';

/** @throws RankscopeError 'wrong-use' in a workspace that is not trusted: there Rankscope writes nothing. */
export function requireTrust(): void {
  if (vscode.workspace.isTrusted) return;
  throw new RankscopeError(
    'wrong-use',
    'this workspace',
    'it is not trusted, and Rankscope writes nothing into it',
    'Trust it with the command "Workspaces: Manage Workspace Trust"',
  );
}

/** Asks where to save what a page made, beside `checkpoint` at first; false when the person backed out. */
export async function saveFromPage(request: SaveRequest, checkpoint: string): Promise<boolean> {
  requireTrust();
  const target = await vscode.window.showSaveDialog({
    defaultUri: vscode.Uri.file(join(dirname(checkpoint), basename(request.suggestedName))),
  });
  if (!target) return false;
  await vscode.workspace.fs.writeFile(target, Buffer.from(request.content, request.encoding));
  return true;
}
