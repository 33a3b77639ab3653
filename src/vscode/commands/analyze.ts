import path from 'node:path';
import * as vscode from 'vscode';
import { CHECKPOINT_ENDINGS, checkpointPath, WEIGHT_ENDINGS } from '../inspector/checkpointFile.ts';
import { INSPECTOR, INSPECTOR_OPTION } from '../inspector/inspectorEditor.ts';
import type { Workbench } from '../workbench.ts';

/** What a menu, the tree or a link names as the checkpoint. */
export type CheckpointArgument = vscode.Uri | { readonly path: string } | string | undefined;

/** "Analyze Weight Ranks": opens the inspector on the file or folder, which starts the analysis; asks where none is given. */
export async function analyze(
  { store }: Workbench,
  target: CheckpointArgument,
  several?: readonly vscode.Uri[],
): Promise<void> {
  const chosen = several?.length ? several : [uriOf(target) ?? activeFile() ?? (await ask())];
  for (const uri of chosen) {
    if (!uri) continue;
    await openInspector(uri);
    // An editor that was open already goes on from where its run was cancelled or failed.
    const session = store.get(checkpointPath(uri));
    if (session.run.status !== 'done') void session.start();
  }
}

/** Opens the inspector on a checkpoint; a folder is opened as one. */
export async function openInspector(uri: vscode.Uri): Promise<void> {
  checkpointPath(uri);
  const usual = WEIGHT_ENDINGS.includes(path.extname(uri.path).slice(1).toLowerCase());
  await vscode.commands.executeCommand('vscode.openWith', uri, usual ? INSPECTOR : INSPECTOR_OPTION, {
    preview: false,
  });
}

export function uriOf(target: CheckpointArgument): vscode.Uri | undefined {
  if (typeof target === 'string') return vscode.Uri.file(target);
  if (target instanceof vscode.Uri || target === undefined) return target;
  return vscode.Uri.file(target.path);
}

function activeFile(): vscode.Uri | undefined {
  const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
  const uri = input instanceof vscode.TabInputText || input instanceof vscode.TabInputCustom ? input.uri : undefined;
  return uri && isCheckpoint(uri.path) ? uri : undefined;
}

const isCheckpoint = (name: string): boolean =>
  name.endsWith('.safetensors.index.json') || CHECKPOINT_ENDINGS.some((ending) => name.endsWith(`.${ending}`));

async function ask(): Promise<vscode.Uri | undefined> {
  const picked = await vscode.window.showOpenDialog({
    title: 'Analyze Weight Ranks',
    openLabel: 'Analyze',
    canSelectFiles: true,
    filters: { Checkpoints: [...CHECKPOINT_ENDINGS, 'json'], 'All files': ['*'] },
  });
  return picked?.[0];
}
