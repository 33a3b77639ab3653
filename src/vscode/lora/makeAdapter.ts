import { basename } from 'node:path';
import * as vscode from 'vscode';
import { EXTRACT_DEFAULTS, extractForm, SURVEYED, surveyOf } from '../../window/lora/extractForm.ts';
import type { FormValues } from '../../window/lora/form.ts';
import { initForm } from '../../window/lora/initForm.ts';
import { extractionReport, initializationReport } from '../../window/lora/reports.ts';
import { cancellable } from '../pages/progress.ts';
import { requireTrust } from '../pages/save.ts';
import { engineRequest } from '../settings.ts';
import type { Workbench } from '../workbench.ts';
import { askForm } from './askForm.ts';
import { askModel } from './askModel.ts';
import { askOverwrite, showResult } from './finish.ts';

/**
 * "Extract Adapter": compares a tuned model with its base, shows what each choice of ranks would give, writes the
 * adapter and opens it.
 * @param paths the tuned model, or both in the order of a selection
 */
export async function extractAdapter(workbench: Workbench, paths: readonly string[], what?: FormValues): Promise<void> {
  requireTrust();
  const pair = await baseAndTuned(workbench, paths, what !== undefined);
  if (pair) await extractDifference(workbench, pair, what);
}

/** "Extract Adapter" where it is known which of the two is the base. */
export async function extractDifference(
  workbench: Workbench,
  [base, tuned]: readonly [base: string, tuned: string],
  what?: FormValues,
): Promise<void> {
  requireTrust();
  const { service } = workbench.engine;
  const title = `Comparing ${basename(tuned)} with ${basename(base)}`;
  const surveyed = (values: FormValues) =>
    cancellable(title, (context) =>
      service.loraExtract({ ...surveyOf(base, tuned, values), ...engineRequest() }, context),
    );
  const first = { ...EXTRACT_DEFAULTS, ...what };
  let current = extractForm(await surveyed(first));
  const values = what
    ? first
    : await askForm(workbench, tuned, current.form, first, async (changed, keys) => {
        if (SURVEYED.some((key) => keys.includes(key))) current = extractForm(await surveyed(changed));
        return current.form;
      });
  const overwrite = values && (await askOverwrite(current.target(values)));
  if (!values || overwrite === undefined) return;
  const extraction = await cancellable(`Extracting an adapter from ${basename(tuned)}`, (context) =>
    service.loraExtract({ ...current.request(values), ...engineRequest(), overwrite }, context),
  );
  await showResult(current.target(values), extractionReport(extraction));
}

async function baseAndTuned(
  workbench: Workbench,
  [one, other]: readonly string[],
  decided: boolean,
): Promise<[base: string, tuned: string] | undefined> {
  if (one === undefined) return undefined;
  if (other === undefined) {
    const base = await askModel(workbench, `The Base of ${basename(one)}`, one);
    return base === undefined ? undefined : [base, one];
  }
  if (decided) return [one, other];
  const picked = await vscode.window.showQuickPick(
    [
      { label: basename(one), description: one, pair: [one, other] as [string, string] },
      { label: basename(other), description: other, pair: [other, one] as [string, string] },
    ],
    { title: 'Which of Them is the Base?', placeHolder: 'The model before training' },
  );
  return picked?.pair;
}

/** "Initialize Adapter": writes an adapter with the principal components of a model, and its base, and opens it. */
export async function initializeAdapter(workbench: Workbench, path: string, what?: FormValues): Promise<void> {
  requireTrust();
  const { engine, store } = workbench;
  const statistics = store.known().find((session) => session.path === path)?.statisticsPath ?? null;
  const { form, defaults, target, request } = initForm(path, statistics);
  const values = what ? { ...defaults, ...what } : await askForm(workbench, path, form, defaults);
  const overwrite = values && (await askOverwrite(target(values)));
  if (!values || overwrite === undefined) return;
  const made = await cancellable(`Initializing an adapter of ${basename(path)}`, (context) =>
    engine.service.loraInit({ ...request(values), ...engineRequest(), overwrite }, context),
  );
  await showResult(target(values), initializationReport(made));
}
