import * as vscode from 'vscode';
import type { Workbench } from '../workbench.ts';
import { openInspector } from './analyze.ts';

/** Opens the inspector of `path` and shows the matrix `name`. */
export async function reveal({ store }: Workbench, { path, name }: { path: string; name: string }): Promise<void> {
  const session = store.get(path);
  session.reveal(name);
  await openInspector(vscode.Uri.file(path));
}
