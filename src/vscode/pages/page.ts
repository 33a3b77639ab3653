import * as vscode from 'vscode';
import type { Port } from '../../protocol/port.ts';
import { pageHtml } from '../../window/pageHtml.ts';

/** The folder of a page in webview/, and the name of its bundle. */
export type PageName =
  | 'inspector'
  | 'plan'
  | 'comparison'
  | 'sharing'
  | 'diff'
  | 'training'
  | 'lora'
  | 'evaluation'
  | 'compression';

/** Loads, or reloads, one of the bundled pages. */
export function loadPage(webview: vscode.Webview, extension: vscode.Uri, name: PageName, title: string): void {
  const folder = vscode.Uri.joinPath(extension, 'dist/webview');
  const part = (file: string) => webview.asWebviewUri(vscode.Uri.joinPath(folder, file)).toString();
  webview.options = { enableScripts: true, localResourceRoots: [folder] };
  webview.html = pageHtml({
    title,
    source: webview.cspSource,
    script: part(`${name}.js`),
    style: part(`${name}.css`),
  });
}

/** A webview as a port for typed calls. */
export function webviewPort(webview: vscode.Webview): Port {
  return {
    postMessage: (message) => webview.postMessage(message),
    onMessage: (listener) => webview.onDidReceiveMessage(listener),
  };
}
