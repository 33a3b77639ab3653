import * as vscode from 'vscode';
import type { Workbench } from '../workbench.ts';
import { loadPage, type PageName } from './page.ts';

/** The page of one kind that belongs to a checkpoint. */
interface CheckpointPage {
  /** The view's type is `rankscope.NAME`. */
  readonly name: PageName;
  readonly titleOf: (path: string) => string;
  /** False for a page that also opens with an empty path, for no checkpoint; true by default. */
  readonly needsCheckpoint?: boolean;
  /** Serves the page in `panel`; what is returned runs when the panel is closed. */
  readonly serve: (workbench: Workbench, panel: vscode.WebviewPanel, path: string) => () => void;
  /** Runs when no panel of this checkpoint is open any more. */
  readonly lastClosed?: (workbench: Workbench, path: string) => void;
}

/** Pages of which a checkpoint has one, and more only where they are opened as editors of files. */
export class CheckpointPanels {
  private readonly open = new Map<string, readonly vscode.WebviewPanel[]>();

  constructor(private readonly page: CheckpointPage) {}

  /** Opens the page of a checkpoint, or shows the one that is open. */
  reveal(workbench: Workbench, path: string): void {
    const open = this.open.get(path)?.at(-1);
    if (open) open.reveal();
    else this.show(workbench, this.create(path), path);
  }

  /** Restores the pages of a restored window: each kept the path of its checkpoint. */
  register(workbench: Workbench): void {
    workbench.context.subscriptions.push(
      vscode.window.registerWebviewPanelSerializer(this.type, {
        deserializeWebviewPanel: async (panel, kept: unknown) => {
          const path = (kept as { path?: unknown } | undefined)?.path;
          if (typeof path === 'string' && (path !== '' || this.page.needsCheckpoint === false))
            this.show(workbench, panel, path);
          else panel.dispose();
        },
      }),
    );
  }

  /** Serves the page of a checkpoint in a panel that is there already. */
  show(workbench: Workbench, panel: vscode.WebviewPanel, path: string): void {
    const { name, titleOf, serve, lastClosed } = this.page;
    const { extensionUri } = workbench.context;
    const close = serve(workbench, panel, path);
    this.open.set(path, [...(this.open.get(path) ?? []), panel]);
    panel.onDidDispose(() => {
      close();
      const others = (this.open.get(path) ?? []).filter((other) => other !== panel);
      this.open.set(path, others);
      if (others.length === 0) lastClosed?.(workbench, path);
    });
    panel.title = titleOf(path);
    panel.iconPath = vscode.Uri.joinPath(extensionUri, 'media/icon.svg');
    loadPage(panel.webview, extensionUri, name, titleOf(path));
  }

  private get type(): string {
    return `rankscope.${this.page.name}`;
  }

  private create(path: string): vscode.WebviewPanel {
    return vscode.window.createWebviewPanel(this.type, this.page.titleOf(path), vscode.ViewColumn.Active);
  }
}
