import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import * as vscode from 'vscode';
import expectedPerplexity from '../fixtures/texts/stories.json' with { type: 'json' };
import { analyzedSample, closeAllEditors, eventually, inWorkspace, rankscope } from './rankscope.ts';

const labels = () => vscode.window.tabGroups.all.flatMap(({ tabs }) => tabs.map(({ label }) => label));
/** Six stories of the kind that the sample's model was trained on, which it has not seen. */
const storiesFile = async () => (await rankscope()).context.asAbsolutePath('test/fixtures/texts/stories.txt');

const TAB = 'Perplexity: model.safetensors';

describe('the perplexity of a model', function () {
  this.timeout(120_000);
  const model = inWorkspace('model.safetensors');
  let folder: string;
  let text: string;
  before(async () => {
    folder = mkdtempSync(join(os.tmpdir(), 'rankscope-evaluation-'));
    text = await storiesFile();
    await vscode.workspace.getConfiguration('rankscope').update('text.context', 64, vscode.ConfigurationTarget.Global);
  });
  after(async () => {
    await vscode.workspace
      .getConfiguration('rankscope')
      .update('text.context', undefined, vscode.ConfigurationTarget.Global);
    rmSync(folder, { recursive: true, force: true });
  });
  afterEach(closeAllEditors);

  it('is measured from a command, equals that of transformers, and is shown on its page', async () => {
    const { evaluations } = await rankscope();
    await vscode.commands.executeCommand('rankscope.measure', vscode.Uri.file(model), { text, ranks: [16, 24] });
    const { error, evaluations: runs, run } = evaluations.get(model).snapshot();
    assert.deepEqual([error, run.status], [null, 'done']);
    const { dense, variants } = runs.at(-1)!;
    const relative = Math.abs(dense.perplexity / expectedPerplexity.dense - 1);
    assert.ok(relative < 1e-5, `${dense.perplexity} for ${expectedPerplexity.dense} of transformers`);
    for (const { rank, difference, differenceError } of variants) {
      const expected = expectedPerplexity.ranks[`${rank as 16 | 24}`];
      // Factors are measured as they would be written, in the type of the weights: the reference keeps them in f32.
      assert.ok(Math.abs(difference - expected.difference) < 0.05, `rank ${rank}: ${difference}`);
      assert.ok(Math.abs(differenceError / expected.differenceError - 1) < 0.05, `rank ${rank}: ${differenceError}`);
    }
    await eventually('its page', () => labels().includes(TAB));
  });

  it('is measured on a file of token ids that is chosen in place of a text', async () => {
    const { evaluations } = await rankscope();
    const ids = join(folder, 'ids.json');
    writeFileSync(ids, JSON.stringify(Array.from({ length: 128 }, (_, id) => 3 + id)));
    await vscode.commands.executeCommand('rankscope.measure', vscode.Uri.file(model), { text: ids, ranks: [16] });
    const { error, evaluations: runs } = evaluations.get(model).snapshot();
    assert.deepEqual([error, runs.at(-1)?.text.name, runs.at(-1)?.text.tokens], [null, 'ids.json', 128]);
  });

  it('is measured of the plan in the side bar, beside the runs before it', async () => {
    const { desk, evaluations } = await rankscope();
    const session = await analyzedSample();
    desk.selectCheckpoint(session.path);
    const before = evaluations.get(model).snapshot().evaluations.length;
    await vscode.commands.executeCommand('rankscope.measurePlan', { text });
    const { evaluations: runs } = evaluations.get(model).snapshot();
    assert.equal(runs.length, before + 1);
    const [variant] = runs.at(-1)!.variants;
    const plan = await desk.compute();
    assert.deepEqual([variant?.kind, variant?.size.cut?.keptShare], ['plan', plan.totals.keptShare]);
    assert.match(variant!.name, /^60 % kept/);
  });

  it('is shown from a JSON file, as which it opens by default, whoever measured it', async () => {
    const { evaluations } = await rankscope();
    const run = evaluations.get(model).snapshot().evaluations.at(-1)!;
    const other = { ...run, source: 'transformers', checkpoint: { ...run.checkpoint, path: '/elsewhere/sample' } };
    const file = join(folder, 'sample.evaluation.json');
    writeFileSync(file, JSON.stringify(other));
    await vscode.commands.executeCommand('vscode.open', vscode.Uri.file(file));
    await eventually('the page', () => {
      const input = vscode.window.tabGroups.activeTabGroup.activeTab?.input;
      return input instanceof vscode.TabInputCustom && input.viewType === 'rankscope.evaluationEditor';
    });
    assert.deepEqual(evaluations.get('/elsewhere/sample').snapshot().evaluations, [other]);
  });

  it('says why it cannot be measured on its page', async () => {
    const { evaluations } = await rankscope();
    const file = join(folder, 'other.safetensors');
    copyFileSync(model, file);
    writeFileSync(
      join(folder, 'config.json'),
      JSON.stringify({ model_type: 'mamba', architectures: ['MambaForCausalLM'] }),
    );
    await vscode.commands.executeCommand('rankscope.measure', vscode.Uri.file(file), { text, ranks: [4] });
    const { error, run } = evaluations.get(file).snapshot();
    assert.equal(run.status, 'failed');
    assert.match(`${error?.found}`, /mamba/i);
    assert.notEqual(error?.remedy, '');
    await eventually('its page', () => labels().includes('Perplexity: other.safetensors'));
  });
});

describe('the activations of a model', function () {
  this.timeout(120_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(os.tmpdir(), 'rankscope-activations-'));
  });
  after(async () => {
    await closeAllEditors();
    rmSync(folder, { recursive: true, force: true });
  });

  it('are collected on a text, and used at once in the inspector, and no longer on request', async () => {
    const session = await analyzedSample();
    const text = await storiesFile();
    const out = join(folder, 'model.activations.safetensors');
    const made = await vscode.commands.executeCommand('rankscope.collectActivations', vscode.Uri.file(session.path), {
      text,
      out,
    });
    assert.equal(made, out);
    assert.ok(existsSync(out) && readFileSync(out).length > 1e5);
    await eventually('the measures of W X', () => session.snapshot().statistics?.summary ?? undefined, 60_000);
    const seen = [...session.findings].filter(({ activations }) => activations);
    assert.ok(seen.length >= 42, `${seen.length} matrices`);
    await session.useStatistics(null);
    assert.ok([...session.findings].every(({ activations }) => activations === undefined));
  });
});
