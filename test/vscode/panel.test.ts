import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import * as vscode from 'vscode';
import type { Plan } from '../../src/model/plan/plan.ts';
import type { ApplyReport } from '../../src/protocol/service.ts';
import type { Session } from '../../src/window/sessions/session.ts';
import { analyzedSample, closeAllEditors, eventually, rankscope } from './rankscope.ts';

describe('the tree of checkpoints', () => {
  let session: Session;
  before(async () => {
    session = await analyzedSample();
  });
  after(closeAllEditors);

  it('shows the layers and modules of a checkpoint with their ranks', async () => {
    const { tree } = await rankscope();
    const roots = await tree.getChildren();
    const root = roots.find((node) => node.path === session.path);
    assert.ok(root, 'the analyzed checkpoint is not in the tree');
    const layers = await tree.getChildren(root);
    assert.ok(layers.length > 1);
    const leaves = (await Promise.all(layers.map((layer) => tree.getChildren(layer)))).flat();
    assert.equal(leaves.length, session.view?.matrices.length);
    for (const { name, description } of leaves) {
      assert.ok(description.includes(session.finding(name ?? '')?.effectiveRank.toFixed(1) ?? 'missing'), description);
    }
  });

  it('forgets a checkpoint', async () => {
    const { tree, store } = await rankscope();
    await vscode.commands.executeCommand('rankscope.forget', { path: session.path });
    assert.ok(!(await tree.getChildren()).some((node) => node.path === session.path));
    assert.ok(!store.recent().includes(session.path));
  });
});

describe('the rank plan', () => {
  let folder: string;
  let session: Session;
  before(async () => {
    folder = mkdtempSync(join(os.tmpdir(), 'rankscope-plan-'));
    session = await analyzedSample();
    const { desk } = await rankscope();
    desk.selectCheckpoint(session.path);
  });
  after(async () => {
    await closeAllEditors();
    rmSync(folder, { recursive: true, force: true });
  });

  it('follows ranks set by hand, also when they are undone', async () => {
    const { desk } = await rankscope();
    const name = session.view?.matrices.at(-1)?.name ?? assert.fail();
    await vscode.commands.executeCommand('rankscope.setRank', { path: session.path, names: [name], rank: 5 });
    assert.equal(session.ranks[name], 5);
    const plan = await desk.compute();
    assert.equal(plan.matrices.find((matrix) => matrix.name === name)?.rank, 5);
    desk.undo();
    assert.equal(session.ranks[name], undefined);
  });

  it('is saved as JSON that the command line accepts', async () => {
    const target = vscode.Uri.file(join(folder, 'model.rankplan.json'));
    await vscode.commands.executeCommand('rankscope.savePlan', target);
    const plan = JSON.parse(readFileSync(target.fsPath, 'utf8')) as Plan;
    assert.equal(plan.format, 'rankscope.plan/1');
    assert.equal(plan.checkpoint.path, session.path);
    const document = await vscode.workspace.openTextDocument(target);
    await vscode.window.showTextDocument(document);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.deepEqual(vscode.languages.getDiagnostics(target), []);
  });

  it('is applied: a smaller checkpoint and its Python code are written, and the checkpoint opens', async () => {
    const { desk } = await rankscope();
    const plan = await desk.compute();
    const out = vscode.Uri.file(join(folder, 'smaller.safetensors'));
    const report = await vscode.commands.executeCommand<ApplyReport>('rankscope.applyPlan', out);
    assert.ok(report, 'nothing was applied');
    assert.equal(report.parametersAfter < report.parametersBefore, true);
    assert.ok(plan.totals.parametersAfter < plan.totals.parametersBefore);
    assert.ok(statSync(out.fsPath).size < statSync(session.path).size);
    assert.match(readFileSync(join(folder, 'smaller.py'), 'utf8'), /import torch/);
    for (const { name, predictedError, measuredError } of report.matrices) {
      // The prediction is the least there can be; a sketch ends within 1 % of it.
      const isNear = measuredError >= 0.999 * predictedError && measuredError <= 1.01 * predictedError + 1e-6;
      assert.ok(isNear, `${name}: ${measuredError} measured, ${predictedError} predicted`);
    }
    await eventually('the result', () => {
      const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
      return input instanceof vscode.TabInputCustom && input.uri.fsPath === out.fsPath;
    });
    const { smokeTest } = (await rankscope()).store.get(out.fsPath).snapshot();
    assert.deepEqual(smokeTest, report.smokeTest);
    assert.ok(smokeTest && 'generation' in smokeTest, JSON.stringify(smokeTest));
    assert.equal(smokeTest.generation.variant?.name, 'smaller.safetensors');
  });

  it('is never written over its own checkpoint', async () => {
    const { desk } = await rankscope();
    desk.selectCheckpoint(session.path);
    const before = readFileSync(session.path);
    await vscode.commands.executeCommand('rankscope.applyPlan', vscode.Uri.file(session.path));
    assert.deepEqual(readFileSync(session.path), before);
  });
});
