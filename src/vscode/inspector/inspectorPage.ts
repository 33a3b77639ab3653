import * as vscode from 'vscode';
import type { InspectorCalls, InspectorUpdate } from '../../protocol/page.ts';
import { servePage } from '../../protocol/pageChannel.ts';
import type { Session } from '../../window/sessions/session.ts';
import { loadPage, webviewPort } from '../pages/page.ts';
import { saveFromPage } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';

/** Shows `session` in `webview`, and lets the page act on it; gives what must be disposed with the webview. */
export function showInspector(workbench: Workbench, webview: vscode.Webview, session: Session): vscode.Disposable {
  // A page that has not asked yet gets all that there is when it does: what changes until then would cross for nothing.
  let isReady = false;
  const page = servePage<InspectorCalls, InspectorUpdate>(webviewPort(webview), {
    ready: async () => {
      const snapshot = session.snapshot();
      isReady = true;
      return snapshot;
    },
    run: async () => void session.start(),
    cancel: () => session.cancel(),
    spectrum: ({ name }) => session.spectrum(name),
    visible: ({ names }) => session.prioritize(names),
    select: async ({ name }) => workbench.sideBySide.select(session, name),
    setRank: async ({ name, rank }) => workbench.desk.setRank(session.path, [name], rank),
    clearRank: async ({ name }) => workbench.desk.clearRank(session.path, [name]),
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
