import assert from 'node:assert/strict';
import { join } from 'node:path';
import * as vscode from 'vscode';
import type { Rankscope } from '../../src/vscode/extension.ts';
import type { Session } from '../../src/window/sessions/session.ts';

/** The activated extension. */
export async function rankscope(): Promise<Rankscope> {
  const extension = vscode.extensions.getExtension<Rankscope>('rankscope.rankscope');
  assert.ok(extension, 'the extension is not installed');
  return extension.activate();
}

/** The folder of the sample workspace, a copy that may be written to. */
export function workspaceFolder(): string {
  const [folder] = vscode.workspace.workspaceFolders ?? [];
  assert.ok(folder, 'no folder is open');
  return folder.uri.fsPath;
}

export const inWorkspace = (...parts: string[]): string => join(workspaceFolder(), ...parts);

/**
 * Waits until `check` gives something; the error of the last try, or what was waited for, where that takes too long.
 */
export async function eventually<T>(what: string, check: () => T | undefined | false, limitMs = 30_000): Promise<T> {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${limitMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Opens the sample's checkpoint by the command and waits for all its findings. */
export async function analyzedSample(): Promise<Session> {
  const { store } = await rankscope();
  const file = inWorkspace('model.safetensors');
  await vscode.commands.executeCommand('rankscope.analyze', vscode.Uri.file(file));
  const session = store.get(file);
  await eventually('the analysis', () => session.run.status === 'done' || session.snapshot().error, 60_000);
  assert.deepEqual(session.snapshot().error, null);
  return session;
}

export const closeAllEditors = (): Thenable<unknown> =>
  vscode.commands.executeCommand('workbench.action.closeAllEditors');
