import * as vscode from 'vscode';
import { checkpointNode, childNodes, type TreeNode } from '../window/treeModel.ts';
import type { Workbench } from './workbench.ts';

const ICONS: Readonly<Record<TreeNode['kind'], string>> = {
  checkpoint: 'database',
  layer: 'layers',
  range: 'list-tree',
  experts: 'symbol-class',
  module: 'symbol-array',
};
/** How often the tree is refreshed during a run, which changes it with every matrix. */
const REFRESH_MS = 500;

/** Recent checkpoints with their layers and ranks. */
export class CheckpointTree implements vscode.TreeDataProvider<TreeNode> {
  private readonly changed = new vscode.EventEmitter<TreeNode | undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly workbench: Workbench) {
    const { store } = workbench;
    store.changes.on(() => this.changed.fire(undefined));
    store.updates.on(() => {
      this.timer ??= setTimeout(() => {
        this.timer = undefined;
        this.changed.fire(undefined);
      }, REFRESH_MS);
    });
  }

  async getChildren(node?: TreeNode): Promise<TreeNode[]> {
    const { store } = this.workbench;
    if (!node) return store.recent().map((path) => checkpointNode(store.get(path)));
    // A recent checkpoint that was not opened in this window yet: expanding it reads its directory.
    return childNodes(await store.load(node.path), node);
  }

  getTreeItem(node: TreeNode): vscode.TreeItem {
    const { Collapsed, None } = vscode.TreeItemCollapsibleState;
    const item = new vscode.TreeItem(node.label, node.kind === 'module' ? None : Collapsed);
    item.id = node.id;
    item.description = node.description;
    item.tooltip = node.tooltip;
    item.contextValue = node.kind;
    item.iconPath = new vscode.ThemeIcon(ICONS[node.kind]);
    if (node.name !== undefined) {
      item.command = { command: 'rankscope.reveal', title: 'Show in the Heatmap', arguments: [node] };
    }
    return item;
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.changed.dispose();
  }
}

export function registerCheckpointTree(workbench: Workbench): CheckpointTree {
  const tree = new CheckpointTree(workbench);
  const view = vscode.window.createTreeView('rankscope.checkpoints', { treeDataProvider: tree, showCollapseAll: true });
  workbench.context.subscriptions.push(tree, view);
  return tree;
}
