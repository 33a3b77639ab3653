import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { analyzedSample, closeAllEditors, eventually, inWorkspace, rankscope, workspaceFolder } from './rankscope.ts';

const activeInput = () => vscode.window.tabGroups.activeTabGroup.activeTab?.input;

describe('the inspector', () => {
  afterEach(closeAllEditors);

  it('is what a safetensors file opens in', async () => {
    await vscode.commands.executeCommand('vscode.open', vscode.Uri.file(inWorkspace('model.safetensors')));
    const input = await eventually('a custom editor', () => {
      const now = activeInput();
      return now instanceof vscode.TabInputCustom && now;
    });
    assert.equal(input.viewType, 'rankscope.inspector');
  });

  it('has a finding for every matrix when its run is done', async () => {
    const session = await analyzedSample();
    const { checkpoint, findings, engine, run } = session.snapshot();
    assert.ok(checkpoint && checkpoint.matrices.length > 0);
    assert.deepEqual(findings.map(({ name }) => name).sort(), checkpoint.matrices.map(({ name }) => name).sort());
    assert.ok(findings.every(({ provenance }) => provenance === 'exact'));
    assert.ok(engine && engine.reason !== '');
    assert.equal(run.done, run.total);
  });

  it('opens a folder as one checkpoint', async () => {
    const { store } = await rankscope();
    await vscode.commands.executeCommand('rankscope.analyze', vscode.Uri.file(workspaceFolder()));
    const session = store.get(workspaceFolder());
    await eventually('the folder is read', () => session.view ?? session.snapshot().error);
    assert.equal(session.snapshot().error, null);
    assert.ok(activeInput() instanceof vscode.TabInputCustom);
    await store.forget(workspaceFolder());
  });

  it('says why a damaged file cannot be opened', async () => {
    const { store } = await rankscope();
    const file = inWorkspace('damaged.safetensors');
    await vscode.workspace.fs.writeFile(vscode.Uri.file(file), Buffer.from('no checkpoint at all'));
    await vscode.commands.executeCommand('rankscope.analyze', vscode.Uri.file(file));
    const session = store.get(file);
    const error = await eventually('an error', () => session.snapshot().error ?? undefined);
    assert.ok(error.subject.includes('damaged.safetensors'));
    assert.notEqual(error.found, '');
    await store.forget(file);
  });

  it('refuses what is not a file on disk, and opens nothing', async () => {
    await vscode.commands.executeCommand('rankscope.analyze', vscode.Uri.parse('untitled:model.safetensors'));
    assert.equal(activeInput(), undefined);
  });
});
