import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import * as vscode from 'vscode';
import type { ScriptReport, ScriptRequest } from '../../protocol/service.ts';
import { suggestedScript } from '../../window/plan/planFiles.ts';
import { textFileOf } from '../../window/textFile.ts';
import { askKeep } from '../compression/compress.ts';
import { askMeasure, type MeasureTarget } from '../evaluation/measure.ts';
import { pickText, rememberText } from '../evaluation/pickText.ts';
import { mayReplace, requireTrust } from '../pages/save.ts';
import { collectionLimits } from '../settings.ts';
import type { Workbench } from '../workbench.ts';
import { runInTerminal } from './terminal.ts';
import { watchResult } from './watchResult.ts';

/** What the commands are told; they ask for what is left out. */
export interface PythonTarget extends MeasureTarget {
  /** The share to keep of what a compression may cut. */
  readonly keep?: number;
  /** The script to write. */
  readonly code?: string;
  /** Whether it is run at once; without it, the user is asked. */
  readonly run?: boolean;
}

/**
 * "Measure Perplexity", "Collect Activations" and "Compress with Python": writes a script for transformers where the
 * user says and shows it. It runs in a terminal if the user asks for that; its result is offered once it is there,
 * whoever ran the script. Returns what was written; undefined if the user cancels.
 */
export async function withPython(
  workbench: Workbench,
  kind: ScriptRequest['kind'],
  path: string,
  target: PythonTarget = {},
): Promise<ScriptReport | undefined> {
  requireTrust();
  const asked = await ask(workbench, kind, path, target);
  if (!asked) return undefined;
  const code = target.code ?? (await askScript(path, kind));
  if (code === undefined) return undefined;
  const overwrite = existsSync(code);
  // The dialog has asked already.
  if (overwrite && target.code !== undefined && !(await mayReplace([code]))) return undefined;
  const report = await workbench.engine.service.script({ path, kind, ...asked, code, overwrite });
  await vscode.window.showTextDocument(vscode.Uri.file(report.code), { preview: false });
  watchResult(workbench, kind, path, report.out);
  if (target.run) await run(report);
  else void offerRun(report);
  return report;
}

/** What the script shall do, as the user says; undefined if they cancel. */
async function ask(
  workbench: Workbench,
  kind: ScriptRequest['kind'],
  path: string,
  target: PythonTarget,
): Promise<Pick<ScriptRequest, 'measure' | 'compress'> | undefined> {
  if (kind === 'evaluate') {
    const measure = await askMeasure(workbench, path, target);
    return measure && { measure };
  }
  const keep = kind === 'compress' ? (target.keep ?? (await askKeep(workbench, path))) : undefined;
  if (kind === 'compress' && keep === undefined) return undefined;
  const text = target.text ?? (await pickText(workbench, 'calibration', kind === 'compress'));
  if (text === undefined) return undefined;
  if (target.text) await rememberText(workbench.context, 'calibration', text);
  const measure = await textFileOf(text);
  return keep === undefined ? { measure: { ...measure, ...collectionLimits() } } : { measure, compress: { keep } };
}

async function askScript(path: string, kind: ScriptRequest['kind']): Promise<string | undefined> {
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
