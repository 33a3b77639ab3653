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

  const written = async (...parts: string[]) =>
    Buffer.from(await vscode.workspace.fs.readFile(vscode.Uri.file(inWorkspace(...parts)))).toString('latin1');
  const toRemove = (name: string) => made.push(vscode.Uri.file(inWorkspace(name)));

  it('is extracted, initialized, resized, converted and cleaned, each result opened', async () => {
    const model = vscode.Uri.file(inWorkspace('model.safetensors'));
    const labels = () => vscode.window.tabGroups.activeTabGroup.tabs.map(({ label }) => label);
    const run = async (command: string, ...words: unknown[]) => {
      await vscode.commands.executeCommand('workbench.action.closeAllEditors');
      await vscode.commands.executeCommand(`rankscope.${command}`, ...words);
      await eventually(`the result of ${command}`, () => labels().some((label) => label.endsWith('.safetensors')));
    };
    for (const name of ['pissa', 'lora', 'small', 'flat.safetensors', 'flat-small.safetensors', 'clean'])
      toRemove(name);
    await run('initializeAdapter', model, { rank: 2, out: 'pissa' });
    const config = JSON.parse(await written('pissa', 'adapter', 'adapter_config.json')) as { r: number };
    assert.equal(config.r, 2);
    // The base without the principal components is another state of the model.
    const base = vscode.Uri.file(inWorkspace('pissa', 'base'));
    await run('extractAdapter', model, [model, base], {
      by: 'rank',
      value: 3,
      spread: 'each',
      out: inWorkspace('lora'),
    });
    await run('resizeAdapter', vscode.Uri.file(inWorkspace('lora')), { rank: 1, out: 'small' });
    assert.equal((JSON.parse(await written('small', 'adapter_config.json')) as { r: number }).r, 1);
    await run('convertAdapter', inWorkspace('small'), { names: 'kohya', out: 'flat.safetensors' });
    // A file of kohya stays one.
    await run('resizeAdapter', inWorkspace('flat.safetensors'), { rank: 1, out: 'flat-small.safetensors' });
    const flat = (await written('flat-small.safetensors')).includes('"lora_model_layers_0_mlp_down_proj.alpha"');
    assert.ok(flat, 'the names of kohya');
    toRemove('whole.safetensors');
    await run('mergeAdapters', inWorkspace('small'), [], { base: model.fsPath, out: 'whole.safetensors' });
    await run('cleanAdapter', inWorkspace('small'), { base: model.fsPath, out: 'clean' });
    assert.ok((await written('clean', 'adapter_model.safetensors')).length > 0);
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
    const what = { combination: 'cat', out: 'merged' };
    await vscode.commands.executeCommand('rankscope.mergeAdapters', both[0], both, what);
    const config = await vscode.workspace.fs.readFile(vscode.Uri.joinPath(merged, 'adapter_config.json'));
    assert.equal((JSON.parse(Buffer.from(config).toString()) as { r: number }).r, 2);
  });
});
