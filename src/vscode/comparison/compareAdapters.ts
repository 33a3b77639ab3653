import * as vscode from 'vscode';
import { type CheckpointArgument, uriOf } from '../commands/analyze.ts';
import { checkpointPath } from '../inspector/checkpointFile.ts';
import type { Workbench } from '../workbench.ts';
import { openComparison } from './comparisonPanel.ts';

/**
 * "Compare Adapters": compares the selection of the Explorer, and asks for more files if fewer than two are selected.
 */
export async function compareAdapters(
  workbench: Workbench,
  target: CheckpointArgument,
  several: readonly vscode.Uri[] = [],
): Promise<void> {
  const given = several.length > 0 ? several : [uriOf(target)].filter((uri) => uri !== undefined);
  const chosen = given.length > 1 ? given : [...given, ...(await ask(given[0]))];
  if (chosen.length === 0) return;
  openComparison(workbench, [...new Set(chosen.map(checkpointPath))]);
}

/** A file with several adapters can be compared by itself, so choosing no more files is fine. */
async function ask(first: vscode.Uri | undefined): Promise<readonly vscode.Uri[]> {
  const picked = await vscode.window.showOpenDialog({
    title: first ? 'Choose Adapters to Compare With' : 'Choose Adapters to Compare',
    openLabel: 'Compare',
    canSelectMany: true,
    canSelectFiles: true,
    filters: { Adapters: ['safetensors', 'bin', 'pt', 'pth', 'ckpt'], 'All files': ['*'] },
    ...(first ? { defaultUri: vscode.Uri.joinPath(first, '..') } : {}),
  });
  return picked ?? [];
}
