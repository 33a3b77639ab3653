import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import * as vscode from 'vscode';
import { RankscopeError } from '../../base/errors.ts';
import type { ApplyReport, ApplyRequest } from '../../protocol/service.ts';
import { codePathOf } from '../../window/plan/planFiles.ts';
import { type FormChoice, formChoices, growthQuestion, suggestedResult } from '../../window/plan/resultForms.ts';
import { resultText } from '../../window/plan/resultText.ts';
import { openInspector } from '../commands/analyze.ts';
import { cancellable } from '../pages/progress.ts';
import { mayReplace, requireTrust } from '../pages/save.ts';
import { engineRequest, isSmokeTestWanted } from '../settings.ts';
import type { Workbench } from '../workbench.ts';
import { pickCalibration } from './pickCalibration.ts';

/**
 * Applies the current plan and opens the result. Asks on what it is truncated, for the form and the target unless that
 * is given, and before existing files are replaced or a result is larger than its source.
 */
export async function applyPlan(workbench: Workbench, target?: vscode.Uri): Promise<ApplyReport | undefined> {
  requireTrust();
  const source = workbench.desk.snapshot().current;
  if (source === null) {
    throw new RankscopeError(
      'wrong-use',
      'rank plan',
      'no checkpoint is open',
      'Right-click a checkpoint file and choose Analyze Weight Ranks',
    );
  }
  const asked = target ? {} : await pickCalibration(workbench, source);
  if (!asked) return undefined;
  const choice = target ? formChoices(source)[0] : await pickForm(source);
  const out = choice && (target ?? (await askTarget(source, choice)));
  if (!out) return undefined;
  refuseSource(source, out.fsPath);
  const code = choice.hasCode ? { code: codePathOf(out.fsPath) } : {};
  const existing = [out.fsPath, ...Object.values(code)].filter((file) => existsSync(file));
  if (existing.length > 0 && !(await mayReplace(existing))) return undefined;
  const files = { out: out.fsPath, ...code, ...choice.form, overwrite: existing.length > 0 };
  const report = await write(workbench, source, { ...files, ...asked });
  if (!report) return undefined;
  workbench.store.get(report.out).setSmokeTest(report.smokeTest);
  await openInspector(vscode.Uri.file(report.out));
  void tellOfResult(report);
  return report;
}

function write(
  { desk, engine }: Workbench,
  source: string,
  files: Pick<ApplyRequest, 'out' | 'code' | 'form' | 'dense' | 'overwrite' | 'calibration'>,
): Thenable<ApplyReport | undefined> {
  return cancellable(`Writing ${basename(files.out)}`, async (context) => {
    const plan = await desk.compute(context.signal);
    const request = { path: source, plan, ...files, smokeTest: isSmokeTestWanted(), ...engineRequest() };
    const question = growthQuestion(await engine.service.estimateApply(request, { signal: context.signal }));
    if (question !== undefined && !(await isWanted(question))) return undefined;
    return engine.service.apply(request, context);
  });
}

/** The engine refuses this too, but only after the plan was computed. */
function refuseSource(source: string, out: string): void {
  if (resolve(out) !== resolve(source)) return;
  throw new RankscopeError('wrong-use', out, 'this is the source checkpoint', 'Choose another file name');
}

async function isWanted(question: string): Promise<boolean> {
  return (await vscode.window.showWarningMessage(question, { modal: true }, 'Write')) === 'Write';
}

async function pickForm(source: string): Promise<FormChoice | undefined> {
  return vscode.window.showQuickPick(formChoices(source), { title: 'Apply the Rank Plan As' });
}

async function askTarget(source: string, choice: FormChoice): Promise<vscode.Uri | undefined> {
  const extension = choice.ending.slice(1);
  return vscode.window.showSaveDialog({
    title: choice.ending === '' ? 'Write the Model Folder' : 'Write the Checkpoint',
    defaultUri: vscode.Uri.file(suggestedResult(source, choice)),
    ...(extension !== '' && { filters: { [extension]: [extension] } }),
  });
}

async function tellOfResult(report: ApplyReport): Promise<void> {
  const picked = await vscode.window.showInformationMessage(
    resultText(report),
    ...(report.code === null ? [] : ['Open Python Code']),
  );
  if (picked !== undefined && report.code !== null) await vscode.window.showTextDocument(vscode.Uri.file(report.code));
}
