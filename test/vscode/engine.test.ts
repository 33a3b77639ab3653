import assert from 'node:assert/strict';
import { readFileSync, readlinkSync } from 'node:fs';
import os from 'node:os';
import * as vscode from 'vscode';
import { processorTimeOf } from '../unit/processorTime.ts';
import { analyzedSample, closeAllEditors, eventually, inWorkspace, rankscope, workspaceFolder } from './rankscope.ts';

describe('the engine process', () => {
  afterEach(closeAllEditors);

  it('runs outside the extension host', async () => {
    await analyzedSample();
    const { engine } = await rankscope();
    assert.ok(engine.pid);
    assert.notEqual(engine.pid, process.pid);
  });

  it('rejects pending calls when it is killed and restarts on the next call', async () => {
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

  it('keeps the findings of a run in which it dies', async () => {
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
    const killed = engine.pid;
    if (killed) process.kill(killed, 'SIGKILL');
    // On a fast machine the run may have been over before the signal came; what is promised is the same.
    await eventually('the end of the process', () => killed === undefined || engine.pid !== killed);
    await eventually('the end of the run', () => session.run.status !== 'running');
    const found = session.snapshot().findings.length;
    assert.ok(found > 0);
    await session.start();
    assert.equal(session.run.status, 'done');
    assert.equal(session.snapshot().error, null);
    assert.equal(session.snapshot().findings.length, session.view?.matrices.length);
  });

  it('ends a run within 200 ms of processor time after its cancellation, and resumes it', async () => {
    const { engine, store } = await rankscope();
    const session = store.get(inWorkspace('model.safetensors'));
    await session.open();
    await engine.service.clearCache({});
    const ended = session.start();
    await eventually('the run', () => session.run.status === 'failed' || session.run.total > 0);
    assert.ok(engine.pid);
    const spent = processorTimeOf(engine.pid);
    await session.cancel();
    await ended;
    // A thread computes on each core for the one that answers.
    const limit = 200 * (os.availableParallelism() + 1);
    assert.ok(spent() < limit, `${spent()} ms of processor time`);
    assert.equal(session.run.status, 'cancelled');
    await session.start();
    assert.equal(session.run.status, 'done');
  });

  it('is told that the workspace is trusted, and which folders to load nothing from', async function () {
    if (process.platform !== 'linux') this.skip();
    const { engine } = await rankscope();
    await engine.service.open({ path: inWorkspace('model.safetensors') });
    const words = readFileSync(`/proc/${engine.pid}/cmdline`, 'utf8').split('\0');
    assert.ok(words.includes('--trusted'));
    assert.ok(words.includes(`--open=${workspaceFolder()}`), words.join(' '));
    // A library that the loader searches in the current folder is never one of the workspace's.
    assert.ok(!readlinkSync(`/proc/${engine.pid}/cwd`).startsWith(workspaceFolder()));
  });

  it('refuses a library in the workspace though the user has named it, and says so', async () => {
    const { engine } = await rankscope();
    const path = inWorkspace('model.safetensors');
    const settings = vscode.workspace.getConfiguration('rankscope');
    try {
      await settings.update('blas', inWorkspace('libopenblas.so'), vscode.ConfigurationTarget.Global);
      await eventually('the new setting', () => vscode.workspace.getConfiguration('rankscope').get('blas') !== '');
      const { engine: device } = await engine.service.analyze({
        path,
        engine: 'cpu',
        tensors: ['*.0.*'],
        cache: false,
      });
      assert.ok(device.reason.includes(`${inWorkspace('libopenblas.so')} lies in an open folder`), device.reason);
    } finally {
      await settings.update('blas', undefined, vscode.ConfigurationTarget.Global);
    }
  });

  it('restarts when the cache size changes', async () => {
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

  it('loads no BLAS after a crash, which one may have caused', async function () {
    if (process.platform !== 'linux') this.skip();
    const { engine } = await rankscope();
    const path = inWorkspace('model.safetensors');
    await engine.service.open({ path });
    const crashed = engine.pid;
    assert.ok(crashed);
    process.kill(crashed, 'SIGSEGV');
    await eventually('the end of the process', () => engine.pid !== crashed);
    const { engine: device } = await engine.service.analyze({ path, engine: 'cpu', tensors: ['*.0.*'], cache: false });
    assert.match(device.reason, /with WASM kernels \(the last engine process crashed\)/);
  });
});
