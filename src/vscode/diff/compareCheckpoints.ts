import * as vscode from 'vscode';
import { baseName } from '../../base/paths.ts';
import { askCheckpoint, type CheckpointArgument, uriOf } from '../commands/analyze.ts';
import { checkpointPath } from '../inspector/checkpointFile.ts';
import { askModel } from '../lora/askModel.ts';
import type { Workbench } from '../workbench.ts';
import { openDiff } from './diffPanel.ts';

/** The context key with which the menu offers a comparison with what is selected. */
const SELECTED = 'rankscope.selectedForCompare';

/** What was last selected for a comparison, in this window. */
let selected: string | undefined;

/** "Select Checkpoint for Compare": the base of the next comparison. */
export async function selectForCompare(target: CheckpointArgument): Promise<void> {
  const path = await askCheckpoint(target, 'Select Checkpoint for Compare');
  if (path === undefined) return;
  selected = path;
  await vscode.commands.executeCommand('setContext', SELECTED, true);
  vscode.window.setStatusBarMessage(`${baseName(path)} is selected for "Compare Checkpoints"`, 5000);
}

/**
 * "Compare Checkpoints": compares the two that are selected in the Explorer, or the given one with what was selected
 * before; asks for what is missing.
 */
export async function compareCheckpoints(
  workbench: Workbench,
  target: CheckpointArgument,
  several: readonly vscode.Uri[] = [],
): Promise<void> {
  const uri = uriOf(target);
  const given = [...new Set((several.length > 0 ? several : uri ? [uri] : []).map(checkpointPath))];
  if (given.length > 2) {
    void vscode.window.showInformationMessage(`Select two checkpoints to compare, not ${given.length}.`);
    return;
  }
  const [first, second] = given;
  if (second !== undefined) return openDiff(workbench, first!, second);
  const base = selected !== first ? selected : undefined;
  const one = base ?? first ?? (await askCheckpoint(undefined, 'The Base'));
  if (one === undefined) return;
  const ask = () => askModel(workbench, `Compare ${baseName(one)} With`, one);
  const two = base === undefined ? await ask() : (first ?? (await ask()));
  if (two !== undefined) openDiff(workbench, one, two);
}
