import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { f32File } from '../unit/formats/safetensorsBytes.ts';
import { closeAllEditors, eventually, inWorkspace } from './rankscope.ts';

describe('LoRA in the editor', () => {
  const made: vscode.Uri[] = [];
  afterEach(async () => {
    await closeAllEditors();
    for (const uri of made.splice(0)) await vscode.workspace.fs.delete(uri, { recursive: true });
  });

  it('is counted for a checkpoint and for the usual models, on one page each', async () => {
    const labels = () => vscode.window.tabGroups.activeTabGroup.tabs.map(({ label }) => label);
    const model = inWorkspace('model.safetensors');
    for (let time = 0; time < 2; time++) {
      await vscode.commands.executeCommand('rankscope.suggestLora', model);
      await vscode.commands.executeCommand('rankscope.countLora');
    }
    await eventually('the pages', () => labels().join() === 'LoRA: model.safetensors,LoRA');
  });

  it('merges the adapters that are selected in the Explorer', async () => {
    const adapter = async (name: string) => {
      const folder = vscode.Uri.file(inWorkspace(name));
      await vscode.workspace.fs.createDirectory(folder);
      made.push(folder);
      const tensors = {
        'layers.0.q.lora_A.weight': { shape: [1, 2], values: [1, 2] },
        'layers.0.q.lora_B.weight': { shape: [2, 1], values: [3, 4] },
      };
      await vscode.workspace.fs.writeFile(vscode.Uri.joinPath(folder, 'adapter_model.safetensors'), f32File(tensors));
      return folder;
    };
    const both = [await adapter('one'), await adapter('other')];
    const merged = vscode.Uri.file(inWorkspace('merged'));
    made.push(merged);
    const what = { method: 'cat', name: 'merged' };
    await vscode.commands.executeCommand('rankscope.mergeAdapters', both[0], both, what);
    const config = await vscode.workspace.fs.readFile(vscode.Uri.joinPath(merged, 'adapter_config.json'));
    assert.equal((JSON.parse(Buffer.from(config).toString()) as { r: number }).r, 2);
  });
});
