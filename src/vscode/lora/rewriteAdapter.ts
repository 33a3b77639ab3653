import { basename } from 'node:path';
import * as vscode from 'vscode';
import { cleanForm } from '../../window/lora/cleanForm.ts';
import { convertForm } from '../../window/lora/convertForm.ts';
import type { FormValues } from '../../window/lora/form.ts';
import { mergeForm } from '../../window/lora/mergeForm.ts';
import { intrudersText, writtenReport } from '../../window/lora/reports.ts';
import { resizeForm } from '../../window/lora/resizeForm.ts';
import { cancellable } from '../pages/progress.ts';
import { requireTrust } from '../pages/save.ts';
import { engineRequest } from '../settings.ts';
import type { Workbench } from '../workbench.ts';
import { askForm } from './askForm.ts';
import { askOverwrite, showResult } from './finish.ts';

/** "Resize Adapter": writes an adapter with other ranks, and opens it. */
export async function resizeAdapter(workbench: Workbench, path: string, what?: FormValues): Promise<void> {
  requireTrust();
  const { service } = workbench.engine;
  const { tensors } = await service.open({ path });
  // Files of kohya have the paths of modules with underscores, and stay files.
  const flat = tensors.some(({ name }) => /^lora_[^.]+\.(lora_|hada_|lokr_|alpha)/.test(name));
  const { form, defaults, target, request } = resizeForm(path, flat);
  const values = what ? { ...defaults, ...what } : await askForm(workbench, path, form, defaults);
  const overwrite = values && (await askOverwrite(target(values)));
  if (!values || overwrite === undefined) return;
  const written = await cancellable(`Resizing ${basename(path)}`, (context) =>
    service.loraWrite({ ...request(values), overwrite }, context),
  );
  await showResult(target(values), writtenReport(written, path));
}

/** "Convert Adapter": writes an adapter under other names or for another loader, and opens it. */
export async function convertAdapter(workbench: Workbench, path: string, what?: FormValues): Promise<void> {
  requireTrust();
  const { form, defaults, target, request } = convertForm(path);
  const values = what ? { ...defaults, ...what } : await askForm(workbench, path, form, defaults);
  const overwrite = values && (await askOverwrite(target(values)));
  if (!values || overwrite === undefined) return;
  const written = await cancellable(`Converting ${basename(path)}`, (context) =>
    workbench.engine.service.loraWrite({ ...request(values), overwrite }, context),
  );
  await showResult(target(values), writtenReport(written, path));
}

/** "Clean Adapter": shows the intruder directions of an adapter, weakens them where that is wanted, and opens it. */
export async function cleanAdapter(workbench: Workbench, path: string, what?: FormValues): Promise<void> {
  requireTrust();
  const { service } = workbench.engine;
  const { form, defaults, target, request } = cleanForm(path);
  const values = what ? { ...defaults, ...what } : await askForm(workbench, path, form, defaults);
  if (!values) return;
  const asked = { ...request(values), ...engineRequest() };
  const { out: _, ...preview } = asked;
  const found = await cancellable(`Looking for intruders in ${basename(path)}`, (context) =>
    service.loraWrite(preview, context),
  );
  if (!what && !(await confirmIntruders(found.layers, Number(values.remain)))) return;
  const overwrite = await askOverwrite(target(values));
  if (overwrite === undefined) return;
  const written = await cancellable(`Cleaning ${basename(path)}`, (context) =>
    service.loraWrite({ ...asked, overwrite }, context),
  );
  await showResult(target(values), writtenReport(written, path));
}

/**
 * "Merge Adapters": makes one adapter of those that are selected in the Explorer, or adds a single one to its base
 * model, and opens the result.
 */
export async function mergeAdapters(workbench: Workbench, paths: readonly string[], what?: FormValues): Promise<void> {
  requireTrust();
  const { form, defaults, target, request } = mergeForm(paths);
  const values = what ? { ...defaults, ...what } : await askForm(workbench, paths[0]!, form, defaults);
  const overwrite = values && (await askOverwrite(target(values)));
  if (!values || overwrite === undefined) return;
  const title = paths.length === 1 ? 'Merging the adapter into its base' : `Merging ${paths.length} adapters`;
  const written = await cancellable(title, (context) =>
    workbench.engine.service.loraWrite({ ...request(values), ...engineRequest(), overwrite }, context),
  );
  await showResult(target(values), writtenReport(written, paths.join(', ')));
}

/** Lists the intruders by layer; whether they are to be weakened. */
async function confirmIntruders(
  layers: Parameters<typeof writtenReport>[0]['layers'],
  remain: number,
): Promise<boolean> {
  const found = layers.filter(({ intruders }) => intruders?.length);
  const count = found.reduce((sum, { intruders }) => sum + (intruders?.length ?? 0), 0);
  if (count === 0) {
    void vscode.window.showInformationMessage('No intruder directions were found: the adapter stays as it is.');
    return false;
  }
  const go = {
    label: `$(play) Weaken them to ${Number((100 * remain).toPrecision(4))} % and write the adapter`,
    isGo: true,
  };
  const line = { label: 'singular value (largest cosine with the base)', kind: vscode.QuickPickItemKind.Separator };
  const items = found.map(({ name, intruders }) => ({ label: name, description: intrudersText(intruders) }));
  const picked = await vscode.window.showQuickPick<vscode.QuickPickItem & { isGo?: boolean }>([go, line, ...items], {
    title: `${count} intruder directions in ${found.length} of ${layers.length} layers`,
  });
  return picked?.isGo === true;
}
