import * as vscode from 'vscode';
import type { Evaluations } from '../../window/evaluation/evaluations.ts';
import { readEvaluations } from '../../window/evaluation/readEvaluations.ts';
import { checkpointPath } from '../inspector/checkpointFile.ts';
import type { Workbench } from '../workbench.ts';

/**
 * Adds the evaluations of a file to those of their checkpoint, and returns its path; undefined if the user cancels.
 * Asks for the file unless it is given. `shown` is the page from which it is asked.
 */
export async function addFromFile(
  { evaluations }: Workbench,
  target: vscode.Uri | undefined,
  shown?: Evaluations,
): Promise<string | undefined> {
  const uri = target ?? (await ask());
  return uri && evaluations.take(await readEvaluations(checkpointPath(uri)), shown);
}

async function ask(): Promise<vscode.Uri | undefined> {
  const picked = await vscode.window.showOpenDialog({
    title: 'Open an Evaluation',
    openLabel: 'Open',
    filters: { Evaluations: ['json'], 'All files': ['*'] },
  });
  return picked?.[0];
}
