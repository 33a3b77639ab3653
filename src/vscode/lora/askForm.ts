import * as vscode from 'vscode';
import {
  type ChoiceField,
  type Field,
  type Form,
  type FormValues,
  type NumberField,
  parsedGlobs,
  parsedNumber,
} from '../../window/lora/form.ts';
import { nameProblem } from '../../window/lora/places.ts';
import { askStatistics } from '../activations/useActivations.ts';
import type { Workbench } from '../workbench.ts';
import { askModel } from './askModel.ts';

/**
 * Lists the answers of a form until the person goes on with them; undefined if they cancel. What is asked for first is
 * the action itself, so that Enter takes the usual answers.
 * @param path what the form is about: files are looked for beside it
 * @param changed called with the keys of each new answer; may return another form
 */
export async function askForm(
  workbench: Workbench,
  path: string,
  form: Form,
  defaults: FormValues,
  changed: (values: FormValues, keys: readonly string[]) => Promise<Form> = async () => form,
): Promise<FormValues | undefined> {
  let current = form;
  let values = defaults;
  for (;;) {
    const { text, ready } = current.outlook(values);
    const fields = current.fields(values);
    const go = { label: `$(play) ${current.action}`, description: text, field: undefined };
    const rest = fields.map((field) => ({ label: field.label, description: field.text(values), field }));
    const line = { label: '', kind: vscode.QuickPickItemKind.Separator, field: undefined };
    const items = ready ? [go, line, ...rest] : [...rest, line, { ...go, label: `$(circle-slash) ${current.action}` }];
    const picked = await vscode.window.showQuickPick(items, { title: current.title, matchOnDescription: true });
    if (!picked) return undefined;
    if (!picked.field) {
      if (ready) return values;
      continue;
    }
    const answer = await askField(workbench, path, picked.field, values);
    if (!answer) continue;
    values = { ...values, ...answer };
    current = await changed(values, Object.keys(answer));
  }
}

/** The new answers; undefined if the person leaves the old ones. */
async function askField(
  workbench: Workbench,
  path: string,
  field: Field,
  values: FormValues,
): Promise<FormValues | undefined> {
  const { key, label } = field;
  if (field.kind === 'flag') return { [key]: values[key] !== true };
  if (field.kind === 'choice') return askChoice(field, values);
  if (field.kind === 'number') return askNumber(field, values);
  if (field.kind === 'globs') {
    const shown = values[key];
    const value = Array.isArray(shown) ? shown.join(' ') : '';
    const text = await vscode.window.showInputBox({ title: label, prompt: field.prompt, value });
    return text === undefined ? undefined : { [key]: parsedGlobs(text) };
  }
  if (field.kind === 'out') {
    const { prompt } = field;
    const value = field.text(values);
    const text = await vscode.window.showInputBox({ title: label, prompt, value, validateInput: nameProblem });
    return text === undefined ? undefined : { [key]: text.trim() };
  }
  const file = await askFile(workbench, path, field.kind, label, field.optional === true && values[key] !== undefined);
  return file === undefined ? undefined : { [key]: file ?? undefined };
}

async function askChoice({ label, choices }: ChoiceField, values: FormValues): Promise<FormValues | undefined> {
  const picked = await vscode.window.showQuickPick(choices, { title: label, matchOnDescription: true });
  if (!picked?.ask) return picked?.set;
  const answer = await askNumber(picked.ask, { ...values, ...picked.set });
  return answer && { ...picked.set, ...answer };
}

async function askNumber(field: NumberField, values: FormValues): Promise<FormValues | undefined> {
  const shown = values[field.key];
  const text = await vscode.window.showInputBox({
    title: field.label,
    prompt: field.prompt,
    value: typeof shown === 'number' ? String(shown) : '',
    validateInput: (input) => {
      try {
        const value = parsedNumber(field, input);
        if (value === undefined || !field.hint) return null;
        return { message: field.hint(value), severity: vscode.InputBoxValidationSeverity.Info };
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    },
  });
  return text === undefined ? undefined : { [field.key]: parsedNumber(field, text) };
}

/** null takes the file away. */
async function askFile(
  workbench: Workbench,
  path: string,
  kind: 'model' | 'statistics',
  title: string,
  canDrop: boolean,
): Promise<string | null | undefined> {
  if (canDrop) {
    const [other, none] = ['Choose another…', 'Use none'];
    const picked = await vscode.window.showQuickPick([other, none], { title });
    if (picked !== other) return picked === undefined ? undefined : null;
  }
  return kind === 'model' ? askModel(workbench, title, path) : askStatistics(path);
}
