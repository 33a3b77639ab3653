import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import * as vscode from 'vscode';
import type { CompressionReport } from '../../src/model/compression.ts';
import { closeAllEditors, eventually, inWorkspace, rankscope } from './rankscope.ts';

const labels = () => vscode.window.tabGroups.all.flatMap(({ tabs }) => tabs.map(({ label }) => label));

describe('the compression of a model', function () {
  this.timeout(120_000);
  const model = inWorkspace('model.safetensors');
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(os.tmpdir(), 'rankscope-compression-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(closeAllEditors);

  it('runs from a command, is shown on its page, and writes the file, its code, plan and report', async () => {
    const { context, compressions } = await rankscope();
    const text = context.asAbsolutePath('test/fixtures/texts/stories.txt');
    const out = join(folder, 'smaller.safetensors');
    const report = await vscode.commands.executeCommand<CompressionReport | undefined>(
      'rankscope.compress',
      vscode.Uri.file(model),
      { keep: 0.8, text, out, confirmed: true, options: { context: 64, tokens: 512, steps: 4 } },
    );
    const { error, run, blocks } = compressions.get(model).snapshot();
    assert.deepEqual([error, run.status], [null, 'done']);
    assert.equal(report?.text.name, 'stories.txt');
    assert.ok(report.unseen!.compressed.perplexity > 1);
    assert.equal(blocks.length, report.blocks.length);
    for (const ending of ['safetensors', 'py', 'plan.json', 'compression.json'])
      assert.ok(existsSync(join(folder, `smaller.${ending}`)), ending);
    await eventually('its page', () => labels().includes('Compression: model.safetensors'));
  });

  it('says why it failed on its page', async () => {
    const { compressions } = await rankscope();
    const out = join(folder, 'none.safetensors');
    const target = { keep: 0.8, text: join(folder, 'missing.txt'), out, confirmed: true };
    assert.equal(await vscode.commands.executeCommand('rankscope.compress', vscode.Uri.file(model), target), undefined);
    const { error, run } = compressions.get(model).snapshot();
    assert.equal(run.status, 'failed');
    assert.match(error!.subject, /missing\.txt/);
  });
});
