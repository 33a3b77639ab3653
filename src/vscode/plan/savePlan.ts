import * as vscode from 'vscode';
import { suggestedPlanFile } from '../../window/plan/planFiles.ts';
import { requireTrust } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';

/** Saves the plan on the desk as the JSON that the command line takes; `target` is asked for where it is left out. */
export async function savePlan({ desk }: Workbench, target?: vscode.Uri): Promise<vscode.Uri | undefined> {
  requireTrust();
  const plan = await desk.compute();
  const file =
    target ??
    (await vscode.window.showSaveDialog({
      title: 'Save the rank plan as',
      defaultUri: vscode.Uri.file(suggestedPlanFile(plan.checkpoint.path)),
      filters: { 'Rank plan': ['rankplan.json', 'json'] },
    }));
  if (file) await vscode.workspace.fs.writeFile(file, Buffer.from(`${JSON.stringify(plan, null, 2)}\n`));
  return file;
}
