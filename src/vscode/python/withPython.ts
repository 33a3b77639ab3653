import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import * as vscode from 'vscode';
import type { ScriptReport, ScriptRequest } from '../../protocol/service.ts';
import { suggestedScript } from '../../window/plan/planFiles.ts';
import { askMeasure, type MeasureTarget } from '../evaluation/measure.ts';
import { pickText, rememberText } from '../evaluation/pickText.ts';
import { mayReplace, requireTrust } from '../pages/save.ts';
import { collectionLimits } from '../settings.ts';
import type { Workbench } from '../workbench.ts';
import { runInTerminal } from './terminal.ts';
import { watchResult } from './watchResult.ts';

/** What the commands are told; they ask for what is left out. */
export interface PythonTarget extends MeasureTarget {
  /** The script to write. */
  readonly code?: string;
  /** Whether it is run at once; without it, the user is asked. */
  readonly run?: boolean;
}

/**
 * "Measure Perplexity with Python" and "Collect Activations with Python": writes a script for transformers where the
 * user says and shows it. It runs in a terminal if the user asks for that; its result is offered once it is there,
 * whoever ran the script. Returns what was written; undefined if the user cancels.
 */
export async function withPython(
  workbench: Workbench,
  kind: Exclude<ScriptRequest['kind'], 'compress'>,
  path: string,
  target: PythonTarget = {},
): Promise<ScriptReport | undefined> {
  requireTrust();
  const measure =
    kind === 'evaluate' ? await askMeasure(workbench, path, target) : await askCollection(workbench, target);
  if (!measure) return undefined;
  const code = target.code ?? (await askScript(path, kind));
  if (code === undefined) return undefined;
  const overwrite = existsSync(code);
  // The dialog has asked already.
  if (overwrite && target.code !== undefined && !(await mayReplace([code]))) return undefined;
  const report = await workbench.engine.service.script({ path, kind, measure, code, overwrite });
  await vscode.window.showTextDocument(vscode.Uri.file(report.code), { preview: false });
  watchResult(workbench, kind, path, report.out);
  if (target.run) await run(report);
  else void offerRun(report);
  return report;
}

async function askCollection(
  { context }: Workbench,
  target: PythonTarget,
): Promise<ScriptRequest['measure'] | undefined> {
  const text = target.text ?? (await pickText({ context }, 'calibration'));
  if (text === undefined) return undefined;
  if (target.text !== undefined) await rememberText(context, 'calibration', text);
  return { text, ...collectionLimits() };
}

async function askScript(path: string, kind: Exclude<ScriptRequest['kind'], 'compress'>): Promise<string | undefined> {
  const uri = await vscode.window.showSaveDialog({
    title: 'Write a Script for transformers',
    defaultUri: vscode.Uri.file(suggestedScript(path, kind)),
    filters: { Python: ['py'] },
  });
  return uri?.fsPath;
}

async function offerRun(report: ScriptReport): Promise<void> {
  const said = `Wrote ${basename(report.code)}. It needs torch, transformers and safetensors, and writes ${basename(report.out)}.`;
  if ((await vscode.window.showInformationMessage(said, 'Run in Terminal')) !== undefined) await run(report);
}

/** The script refuses to replace a result, so that the question comes before the work. */
async function run({ code, out }: ScriptReport): Promise<void> {
  const replaces = existsSync(out);
  if (replaces && !(await mayReplace([out]))) return;
  await runInTerminal(code, replaces ? ['--force'] : []);
}
