import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import * as vscode from 'vscode';
import { RankscopeError } from '../../base/errors.ts';
import type { ApplyCalibration, ApplyReport } from '../../protocol/service.ts';
import { codePathOf, suggestedTarget } from '../../window/plan/planFiles.ts';
import { resultText } from '../../window/plan/resultText.ts';
import { openInspector } from '../commands/analyze.ts';
import { cancellable } from '../pages/progress.ts';
import { mayReplace, requireTrust } from '../pages/save.ts';
import { engineRequest, isSmokeTestWanted } from '../settings.ts';
import type { Workbench } from '../workbench.ts';
import { pickCalibration } from './pickCalibration.ts';

/**
 * Writes the factorized checkpoint of the current plan, with its Python code beside it, and opens the result. Asks on
 * what it is truncated and for the target unless that is given, and before existing files are replaced.
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
  const out = target ?? (await askTarget(source));
  if (!out) return undefined;
  const code = codePathOf(out.fsPath);
  refuseSource(source, out.fsPath);
  const existing = [out.fsPath, code].filter((file) => existsSync(file));
  if (existing.length > 0 && !(await mayReplace(existing))) return undefined;
  const report = await write(workbench, source, {
    out: out.fsPath,
    code,
    overwrite: existing.length > 0,
    ...asked,
  });
  workbench.store.get(report.out).setSmokeTest(report.smokeTest);
  await openInspector(vscode.Uri.file(report.out));
  void tellOfResult(report);
  return report;
}

function write(
  { desk, engine }: Workbench,
  source: string,
  files: { out: string; code: string; overwrite: boolean; calibration?: ApplyCalibration },
): Thenable<ApplyReport> {
  return cancellable(`Writing ${basename(files.out)}`, async (context) => {
    const plan = await desk.compute(context.signal);
    const request = { path: source, plan, ...files, smokeTest: isSmokeTestWanted(), ...engineRequest() };
    return engine.service.apply(request, context);
  });
}

/** The engine refuses this too, but only after the plan was computed. */
function refuseSource(source: string, out: string): void {
  if (resolve(out) !== resolve(source)) return;
  throw new RankscopeError('wrong-use', out, 'this is the source checkpoint', 'Choose another file name');
}

async function askTarget(source: string): Promise<vscode.Uri | undefined> {
  return vscode.window.showSaveDialog({
    title: 'Write the Factorized Checkpoint',
    defaultUri: vscode.Uri.file(suggestedTarget(source)),
    filters: { safetensors: ['safetensors'] },
  });
}

async function tellOfResult(report: ApplyReport): Promise<void> {
  const picked = await vscode.window.showInformationMessage(
    resultText(report),
    ...(report.code === null ? [] : ['Open Python Code']),
  );
  if (picked !== undefined && report.code !== null) await vscode.window.showTextDocument(vscode.Uri.file(report.code));
}
