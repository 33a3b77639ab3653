import { extname } from 'node:path';
import * as vscode from 'vscode';
import { CHECKPOINT_ENDINGS, checkpointPath, WEIGHT_ENDINGS } from '../inspector/checkpointFile.ts';
import { INSPECTOR, INSPECTOR_OPTION } from '../inspector/inspectorEditor.ts';
import type { Workbench } from '../workbench.ts';

/** The checkpoint, as a menu, the tree or a link passes it. */
export type CheckpointArgument = vscode.Uri | { readonly path: string } | string | undefined;

/** With more columns than these, a heatmap becomes too narrow. */
const COLUMNS = 3;

/**
 * "Analyze Weight Ranks": opens the inspector on a file or folder, which starts the analysis. Asks for a file if none
 * is given. Several are opened side by side, and a matrix selected in one is shown in all.
 */
export async function analyze(
  { store, sideBySide }: Workbench,
  target: CheckpointArgument,
  several?: readonly vscode.Uri[],
): Promise<void> {
  const given = several?.length ? several : [uriOf(target) ?? activeFile() ?? (await ask('Analyze Weight Ranks'))];
  const chosen = given.filter((uri) => uri !== undefined);
  if (chosen.length > 1) sideBySide.put([...new Set(chosen.map((uri) => store.get(checkpointPath(uri))))]);
  for (const [index, uri] of chosen.entries()) {
    await openInspector(uri, chosen.length > 1 ? Math.min(index + 1, COLUMNS) : undefined);
    // In an editor that is already open, a cancelled or failed run continues.
    const session = store.get(checkpointPath(uri));
    if (session.run.status !== 'done') void session.start();
  }
}

/**
 * The path of the checkpoint that is given or active, or else `usual`, or that the user chooses; undefined if they
 * cancel.
 */
export async function askCheckpoint(
  target: CheckpointArgument,
  title: string,
  usual?: string | null,
): Promise<string | undefined> {
  const uri = uriOf(target) ?? activeFile() ?? uriOf(usual ?? undefined) ?? (await ask(title));
  return uri && checkpointPath(uri);
}

/** Opens the inspector on a checkpoint file or folder. */
export async function openInspector(uri: vscode.Uri, viewColumn?: vscode.ViewColumn): Promise<void> {
  checkpointPath(uri);
  const usual = WEIGHT_ENDINGS.includes(extname(uri.path).slice(1).toLowerCase());
  await vscode.commands.executeCommand('vscode.openWith', uri, usual ? INSPECTOR : INSPECTOR_OPTION, {
    preview: false,
    ...(viewColumn === undefined ? {} : { viewColumn }),
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

async function ask(title: string): Promise<vscode.Uri | undefined> {
  const picked = await vscode.window.showOpenDialog({
    title,
    openLabel: 'Choose',
    canSelectFiles: true,
    filters: { Checkpoints: [...CHECKPOINT_ENDINGS, 'json'], 'All files': ['*'] },
  });
  return picked?.[0];
}
