import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { analyzedSample, closeAllEditors, eventually, inWorkspace, rankscope, workspaceFolder } from './rankscope.ts';

const activeInput = () => vscode.window.tabGroups.activeTabGroup.activeTab?.input;

describe('the inspector', () => {
  afterEach(closeAllEditors);

  it('opens safetensors files by default', async () => {
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

  it('opens several files side by side, and shows the matrix selected in one in all of them', async () => {
    const { sideBySide, store } = await rankscope();
    const files = [inWorkspace('model.safetensors'), inWorkspace('other.safetensors')];
    await vscode.workspace.fs.copy(vscode.Uri.file(files[0]!), vscode.Uri.file(files[1]!), { overwrite: true });
    const uris = files.map((file) => vscode.Uri.file(file));
    await vscode.commands.executeCommand('rankscope.analyze', uris[0], uris);
    const columns = vscode.window.tabGroups.all.map(({ tabs }) =>
      tabs.map(({ input }) => (input instanceof vscode.TabInputCustom ? input.uri.fsPath : '')),
    );
    assert.deepEqual(columns, [[files[0]], [files[1]]]);
    const [one, other] = files.map((file) => store.get(file));
    await Promise.all([one!.open(), other!.open()]);
    const name = one!.view?.matrices[3]?.name ?? assert.fail('no matrices');
    sideBySide.select(one!, name);
    assert.equal(other!.snapshot().selected, name);
    await closeAllEditors();
    await store.forget(files[1]!);
    await vscode.workspace.fs.delete(uris[1]!);
  });

  it('refuses a document that is not a file on disk', async () => {
    await vscode.commands.executeCommand('rankscope.analyze', vscode.Uri.parse('untitled:model.safetensors'));
    assert.equal(activeInput(), undefined);
  });
});
