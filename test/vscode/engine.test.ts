import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import * as vscode from 'vscode';
import { analyzedSample, closeAllEditors, eventually, inWorkspace, rankscope } from './rankscope.ts';

describe('the engine process', () => {
  afterEach(closeAllEditors);

  it('is not this process, and does not run in it', async () => {
    await analyzedSample();
    const { engine } = await rankscope();
    assert.ok(engine.pid);
    assert.notEqual(engine.pid, process.pid);
  });

  it('fails what is pending when it is killed, and is started again by the next call', async () => {
    const { engine, store } = await rankscope();
    const path = inWorkspace('model.safetensors');
    await engine.service.open({ path });
    const killed = engine.pid;
    assert.ok(killed);
    await engine.service.clearCache({});
    const pending = engine.service.analyze({ path, cache: false });
    process.kill(killed, 'SIGKILL');
    await assert.rejects(pending, { code: 'engine', message: /SIGKILL/ });
    const view = await engine.service.open({ path });
    assert.ok(view.matrices.length > 0);
    assert.notEqual(engine.pid, killed);
    await store.forget(path);
  });

  it('dies in mid-run without costing what was found', async () => {
    const { engine, store } = await rankscope();
    const path = inWorkspace('model.safetensors');
    await store.forget(path);
    await engine.service.clearCache({});
    await vscode.commands.executeCommand('rankscope.analyze', vscode.Uri.file(path));
    const session = store.get(path);
    await eventually(
      'a first finding',
      () => session.run.status === 'failed' || session.snapshot().findings.length > 0,
    );
    if (engine.pid) process.kill(engine.pid, 'SIGKILL');
    await eventually('the end of the run', () => session.run.status !== 'running');
    // On a fast machine the run may have been over before the signal came; what is promised is the same.
    const found = session.snapshot().findings.length;
    assert.ok(found > 0);
    await session.start();
    assert.equal(session.run.status, 'done');
    assert.equal(session.snapshot().error, null);
    assert.equal(session.snapshot().findings.length, session.view?.matrices.length);
  });

  it('ends a run within 200 ms of its cancellation and resumes it', async () => {
    const { engine, store } = await rankscope();
    const session = store.get(inWorkspace('model.safetensors'));
    await session.open();
    await engine.service.clearCache({});
    const ended = session.start();
    await eventually('the run', () => session.run.status === 'failed' || session.run.total > 0);
    const start = performance.now();
    await session.cancel();
    assert.ok(performance.now() - start < 500, 'cancelled too late, even for a busy machine');
    await ended;
    assert.equal(session.run.status, 'cancelled');
    await session.start();
    assert.equal(session.run.status, 'done');
  });

  it('is started anew with a new size of the cache', async () => {
    const { engine } = await rankscope();
    const path = inWorkspace('model.safetensors');
    await engine.service.open({ path });
    const before = engine.pid;
    const settings = vscode.workspace.getConfiguration('rankscope');
    try {
      await settings.update('cache.megabytes', 64, vscode.ConfigurationTarget.Global);
      await eventually('the end of the old process', () => engine.pid !== before);
      await engine.service.open({ path });
      assert.ok(engine.pid);
      if (process.platform !== 'linux') return;
      const words = readFileSync(`/proc/${engine.pid}/cmdline`, 'utf8').split('\0');
      assert.equal(words[words.indexOf('--cache-bytes') + 1], String(64e6));
    } finally {
      await settings.update('cache.megabytes', undefined, vscode.ConfigurationTarget.Global);
    }
  });
});
