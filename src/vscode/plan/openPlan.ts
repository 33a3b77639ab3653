import { existsSync } from 'node:fs';
import * as vscode from 'vscode';
import { placesOf, readPlan } from '../../window/plan/planFiles.ts';
import { askCheckpoint } from '../commands/analyze.ts';
import type { Workbench } from '../workbench.ts';

/**
 * Opens the file of a plan in the side bar: with its checkpoint where that is found, or one that the user names.
 * Without a file, asks for one of the current checkpoint.
 * @throws RankscopeError 'wrong-use' with the differences if the plan is of another checkpoint
 */
export async function openPlan(workbench: Workbench, target?: vscode.Uri): Promise<void> {
  const { desk, store } = workbench;
  const file = target ?? (await askFile());
  if (!file) return;
  const plan = await readPlan(file.fsPath);
  const folders = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri.fsPath);
  const known = target ? undefined : desk.snapshot().current;
  const path =
    known ??
    placesOf(plan, file.fsPath, folders).find(existsSync) ??
    (await askCheckpoint(undefined, `Open ${plan.checkpoint.path}, the Checkpoint of the Plan`));
  if (path === undefined) return;
  await desk.open(path, plan);
  await store.remember(path);
  await vscode.commands.executeCommand('rankscope.plan.focus');
}

async function askFile(): Promise<vscode.Uri | undefined> {
  const picked = await vscode.window.showOpenDialog({
    title: 'Open a Rank Plan',
    openLabel: 'Open',
    filters: { 'Rank plan': ['json'], 'All files': ['*'] },
  });
  return picked?.[0];
}
