import * as vscode from 'vscode';
import { f32File } from '../unit/formats/safetensorsBytes.ts';
import { closeAllEditors, eventually, inWorkspace } from './rankscope.ts';

const labels = () => vscode.window.tabGroups.activeTabGroup.tabs.map(({ label }) => label);

describe('a comparison of adapters', () => {
  const made: vscode.Uri[] = [];
  afterEach(async () => {
    await closeAllEditors();
    for (const uri of made.splice(0)) await vscode.workspace.fs.delete(uri, { recursive: true });
  });

  async function adapter(name: string, values: readonly number[]): Promise<vscode.Uri> {
    const folder = vscode.Uri.file(inWorkspace(name));
    await vscode.workspace.fs.createDirectory(folder);
    made.push(folder);
    const tensors = {
      'layers.0.q.lora_A.weight': { shape: [1, 2], values },
      'layers.0.q.lora_B.weight': { shape: [2, 1], values },
    };
    await vscode.workspace.fs.writeFile(vscode.Uri.joinPath(folder, 'adapter_model.safetensors'), f32File(tensors));
    return folder;
  }

  it("of the selection in the Explorer opens in a tab titled with the adapters' names", async () => {
    const both = [await adapter('german', [1, 2]), await adapter('french', [2, 1])];
    await vscode.commands.executeCommand('rankscope.compareAdapters', both[0], both);
    await eventually('the comparison', () => labels().includes('german · french'), 60_000);
  });

  it('of files that are not adapters shows the reason on its page and no notification', async () => {
    const folder = await adapter('german', [1, 2]);
    const model = vscode.Uri.file(inWorkspace('model.safetensors'));
    await vscode.commands.executeCommand('rankscope.compareAdapters', folder, [folder, model]);
    await eventually('the page', () => labels().includes('Adapters'));
  });
});
