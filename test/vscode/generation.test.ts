import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import * as vscode from 'vscode';
import type { Generation } from '../../src/model/generation.ts';
import { analyzedSample, closeAllEditors, inWorkspace, rankscope } from './rankscope.ts';

describe('a prompt', function () {
  this.timeout(120_000);
  const model = inWorkspace('model.safetensors');
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(os.tmpdir(), 'rankscope-generation-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(closeAllEditors);
  const continued = (target: object) =>
    vscode.commands.executeCommand<Generation | undefined>('rankscope.generate', vscode.Uri.file(model), {
      prompt: 'Once upon a time',
      tokens: 8,
      ...target,
    });

  it('is continued by the model and the plan of the side bar, and shown in the inspector', async () => {
    const { desk, store } = await rankscope();
    desk.selectCheckpoint((await analyzedSample()).path);
    const generation = await continued({ plan: true });
    assert.equal(generation?.prompt.text, 'Once upon a time');
    assert.equal(generation.dense.ids.length, 8);
    assert.match(generation.variant!.name, /kept/);
    assert.deepEqual(store.get(model).snapshot().smokeTest, { generation, isAsked: true });
    const plan = join(folder, 'plan.json');
    writeFileSync(plan, JSON.stringify(await desk.compute()));
    const other = await continued({ planFile: plan });
    assert.deepEqual([other?.variant?.name, other?.variant?.ids], ['plan.json', generation.variant?.ids]);
  });

  it('is continued by the model alone', async () => {
    const generation = await continued({ alone: true });
    assert.deepEqual([generation?.variant, generation?.agreement], [null, null]);
  });
});
