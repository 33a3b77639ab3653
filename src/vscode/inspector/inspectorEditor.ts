import * as vscode from 'vscode';
import type { Session } from '../../window/sessions/session.ts';
import type { Workbench } from '../workbench.ts';
import { checkpointPath } from './checkpointFile.ts';
import { showInspector } from './inspectorPage.ts';

/** The editor that opens by itself for formats that hold nothing but weights, and the one that is an option for the others. */
export const INSPECTOR = 'rankscope.inspector';
export const INSPECTOR_OPTION = 'rankscope.inspectorOption';

export function registerInspector(workbench: Workbench): void {
  const provider = new InspectorEditor(workbench);
  for (const viewType of [INSPECTOR, INSPECTOR_OPTION]) {
    workbench.context.subscriptions.push(
      vscode.window.registerCustomEditorProvider(viewType, provider, { supportsMultipleEditorsPerDocument: true }),
    );
  }
}

class InspectorDocument implements vscode.CustomDocument {
  constructor(
    readonly uri: vscode.Uri,
    readonly session: Session,
  ) {}

  /** The last editor was closed: nobody could stop the run any more, nobody sees what it finds. */
  dispose(): void {
    void this.session.cancel();
  }
}

class InspectorEditor implements vscode.CustomReadonlyEditorProvider<InspectorDocument> {
  constructor(private readonly workbench: Workbench) {}

  openCustomDocument(uri: vscode.Uri): InspectorDocument {
    const session = this.workbench.store.get(checkpointPath(uri));
    void this.begin(session);
    return new InspectorDocument(uri, session);
  }

  resolveCustomEditor({ session }: InspectorDocument, panel: vscode.WebviewPanel): void {
    const page = showInspector(this.workbench, panel.webview, session);
    panel.onDidDispose(() => page.dispose());
  }

  /** A checkpoint that was analyzed before has its findings in the cache: they come back at once. */
  private async begin(session: Session): Promise<void> {
    if (session.run.status !== 'done') void session.start();
    if (await session.open()) await this.workbench.store.remember(session.path);
  }
}
