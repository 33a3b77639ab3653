import * as vscode from 'vscode';
import type { InspectorCalls, InspectorUpdate } from '../../protocol/page.ts';
import { servePage } from '../../protocol/pageChannel.ts';
import type { Session } from '../../window/sessions/session.ts';
import { loadPage, webviewPort } from '../pages/page.ts';
import { saveFromPage } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';
import { checkpointPath } from './checkpointFile.ts';

/** The default editor of formats that hold nothing but weights, and the optional editor of the others. */
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

  /** Called when the last editor is closed: nobody could see or stop the run any more. */
  dispose(): void {
    this.session.trials.cancel();
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

  /** Starts the analysis; the findings of an earlier one come from the cache at once. */
  private async begin(session: Session): Promise<void> {
    if (session.run.status !== 'done') void session.start();
    if (await session.open()) await this.workbench.store.remember(session.path);
  }
}

/** Shows `session` in `webview` and serves its page. Dispose the result with the webview. */
export function showInspector(workbench: Workbench, webview: vscode.Webview, session: Session): vscode.Disposable {
  // Until the page has asked for its state, updates would be sent for nothing.
  let isReady = false;
  const page = servePage<InspectorCalls, InspectorUpdate>(webviewPort(webview), {
    ready: async () => {
      const snapshot = session.snapshot();
      isReady = true;
      return snapshot;
    },
    openChoice: async ({ path }) => {
      if (session.snapshot().error?.choices?.includes(path))
        await vscode.commands.executeCommand('rankscope.analyze', vscode.Uri.file(path));
    },
    run: async () => void session.start(),
    cancel: () => session.cancel(),
    spectrum: ({ name }) => session.spectrum(name),
    visible: ({ names }) => session.prioritize(names),
    select: async ({ name }) => workbench.sideBySide.select(session, name),
    setRank: async ({ name, rank }) => workbench.desk.setRank(session.path, [name], rank),
    clearRank: async ({ name }) => workbench.desk.clearRank(session.path, [name]),
    trial: ({ name, choice }) => session.trials.start(name, choice),
    cancelTrial: async () => session.trials.cancel(),
    trialPictures: (request) => session.trials.pictures(request),
    measure: async () => void (await vscode.commands.executeCommand('rankscope.measure', session.path)),
    activations: async () => void (await vscode.commands.executeCommand('rankscope.useActivations', session.path)),
    save: (request) => saveFromPage(request, session.path),
  });
  const load = () => {
    isReady = false;
    loadPage(webview, workbench.context.extensionUri, 'inspector', session.path);
  };
  const offUpdates = session.updates.on((update) => isReady && page.update(update));
  const offResets = session.resets.on(load);
  load();
  return vscode.Disposable.from({ dispose: offUpdates }, { dispose: offResets }, { dispose: () => page.close() });
}
