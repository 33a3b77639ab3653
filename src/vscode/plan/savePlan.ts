import * as vscode from 'vscode';
import { suggestedPlanFile } from '../../window/plan/planFiles.ts';
import { requireTrust } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';

/** Saves the current plan as the JSON that the command line reads. Asks for the target unless it is given. */
export async function savePlan({ desk }: Workbench, target?: vscode.Uri): Promise<vscode.Uri | undefined> {
  requireTrust();
  const plan = await desk.compute();
  const file =
    target ??
    (await vscode.window.showSaveDialog({
      title: 'Save the Rank Plan',
      defaultUri: vscode.Uri.file(suggestedPlanFile(plan.checkpoint.path)),
      filters: { 'Rank plan': ['rankplan.json', 'json'] },
    }));
  if (file) await vscode.workspace.fs.writeFile(file, Buffer.from(`${JSON.stringify(plan, null, 2)}\n`));
  return file;
}
