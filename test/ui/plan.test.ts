import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Frame } from 'playwright-core';
import { elementCount } from '../../src/base/shape.ts';
import { openVscode, type Vscode } from '../../src/build/host/vscode.ts';
import { FIRST_REQUEST } from '../../src/model/plan/planRequest.ts';
import { createService } from '../../src/service/service.ts';
import expected from '../fixtures/texts/stories.json' with { type: 'json' };
import {
  choose,
  chooseInContextMenu,
  choosePath,
  eventually,
  openSideBar,
  runCommand,
  webviewPage,
} from './workbench.ts';

describe('the rank plan, in the installed extension', function () {
  this.timeout(120_000);
  let vscode: Vscode;
  let plan: Frame;

  before(async () => {
    vscode = await openVscode();
    const { page } = vscode;
    await chooseInContextMenu(page, 'model.safetensors', 'Analyze Weight Ranks');
    await webviewPage(page, 'inspector', 'model.safetensors');
    await openSideBar(page, 'Rankscope');
    plan = await webviewPage(page, 'plan');
  });
  after(() => vscode?.close());
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await vscode?.screenshot(`failed-${this.currentTest.title.slice(0, 40)}`);
  });

  it('follows a change of the parameter budget', async () => {
    for (const budget of [80, 60]) {
      const field = plan.getByRole('spinbutton', { name: 'Budget value' });
      await eventually(async () => {
        await field.fill(String(budget));
        await field.press('Tab');
        await eventually(async () => {
          const kept = Number.parseFloat(await plan.locator('.headline strong').innerText());
          assert.ok(kept <= budget && kept > budget - 5, `${kept} % are kept for a budget of ${budget} %`);
        }, 8000);
      });
    }
    await vscode.screenshot('plan');
  });

  it('opens a plan file as a step that can be undone, refuses that of another checkpoint, and shows its curve', async () => {
    const { page, folder } = vscode;
    const service = createService({});
    const path = join(folder, 'model.safetensors');
    const made = await service.plan({ path, request: { ...FIRST_REQUEST, budget: { kind: 'keep', value: 0.43 } } });
    await service.close();
    writeFileSync(join(folder, 'half.rankplan.json'), JSON.stringify(made));
    const matrices = made.matrices.map(({ name, ...matrix }) => ({ ...matrix, name: `other.${name}` }));
    const other = { ...made, checkpoint: { ...made.checkpoint, bytes: 12 }, matrices };
    writeFileSync(join(folder, 'other.rankplan.json'), JSON.stringify(other));
    // A view that was hidden is a page of its own when it is shown again.
    const field = () => plan.getByRole('spinbutton', { name: 'Budget value' });
    const before = await field().inputValue();
    await runCommand(page, 'View: Show Explorer');
    await chooseInContextMenu(page, 'half.rankplan.json', 'Open a Rank Plan');
    plan = await webviewPage(page, 'plan');
    await eventually(async () => assert.equal(await field().inputValue(), '43'));
    await plan.getByText(/^At 43 % of what may be cut, this plan loses/).waitFor();
    await runCommand(page, 'View: Show Explorer');
    await chooseInContextMenu(page, 'other.rankplan.json', 'Open a Rank Plan');
    const refusal = page.locator('.notification-toast', { hasText: 'the plan is for' });
    await refusal.waitFor();
    assert.match(await refusal.innerText(), /12; it has no other\.model/);
    await openSideBar(page, 'Rankscope');
    plan = await webviewPage(page, 'plan');
    await plan.getByText(/^At 43 % of what may be cut, this plan loses/).waitFor();
    await plan.getByRole('heading', { name: 'Error against size' }).scrollIntoViewIfNeeded();
    await vscode.screenshot('plan-opened');
    await plan.getByRole('button', { name: 'Undo' }).click();
    await eventually(async () => assert.equal(await field().inputValue(), before));
    await plan.getByRole('button', { name: 'Redo' }).click();
    await eventually(async () => assert.equal(await field().inputValue(), '43'));
    await plan.getByRole('button', { name: 'Undo' }).click();
    await eventually(async () => assert.equal(await field().inputValue(), before));
  });

  it('is measured on a text, and its page shows the perplexity that transformers computes', async () => {
    const text = resolve('test/fixtures/texts/stories.txt');
    await choosePath(vscode.page, plan.getByRole('button', { name: /^Measure how much worse/ }), text);
    const evaluation = await webviewPage(vscode.page, 'evaluation');
    const facts = evaluation.getByRole('region', { name: 'Text and dense model' });
    await facts.getByText('stories.txt').waitFor({ timeout: 60_000 });
    const [, shown] = /Dense perplexity\s*([\d.]+)/.exec(await facts.innerText()) ?? [];
    // The setting's default is the context of the model, 256 tokens.
    assert.equal(shown, expected.denseOf256.toPrecision(4));
    const row = evaluation.getByRole('table', { name: 'Measured variants' }).locator('tbody tr');
    assert.equal(await row.count(), 1);
    assert.match(await row.innerText(), /^60 % kept, optimal/);
    // From the page, ranks are asked for, and the text is remembered.
    // A question loses the focus to the page if it appears too soon, and is closed without an answer: then once more.
    await eventually(async () => {
      await evaluation.getByRole('button', { name: 'Measure ranks or plans on a text' }).click();
      const { keyboard } = vscode.page;
      for (const title of [/^Measure the Perplexity of/, 'Ranks to Measure', 'Choose a Text to Measure On']) {
        const question = vscode.page.locator('.quick-input-title', { hasText: title });
        await question.waitFor({ timeout: 10_000 });
        // A question that has just appeared may not take the key yet.
        await eventually(async () => {
          if (await question.isVisible()) await keyboard.press('Enter');
          await question.waitFor({ state: 'hidden', timeout: 3000 });
        });
      }
      await eventually(async () => assert.equal(await row.count(), 5), 30_000);
    }, 60_000);
    await vscode.screenshot('evaluation');
  });

  it('writes the smaller checkpoint and its Python code, and opens the result', async () => {
    const target = join(vscode.folder, 'smaller.safetensors');
    const [, before = '', after = ''] =
      /Whole model\s+([\d.,]+ ?[KM]?)\s+([\d.,]+ ?[KM]?)/.exec(await plan.getByRole('table').innerText()) ?? [];
    const apply = plan.getByRole('button', { name: 'Apply…' });
    await choose(vscode.page, apply, 'The weights alone');
    const forms = vscode.page.locator('.quick-input-list').getByRole('option');
    await forms.filter({ hasText: 'NAME.BLinear and NAME.ALinear' }).waitFor();
    await vscode.screenshot('plan-forms');
    await forms.filter({ hasText: 'A file of factors, with Python code' }).click();
    await vscode.page
      .locator('.quick-input-widget:visible')
      .getByRole('button', { name: /^(OK|Save)$/ })
      .waitFor();
    await choosePath(vscode.page, apply, target);
    const result = await webviewPage(vscode.page, 'inspector', 'smaller.safetensors');
    const trial = result.getByRole('region', { name: 'Smoke test' });
    await trial.getByRole('region', { name: 'Continuation by smaller.safetensors' }).waitFor();
    assert.match(await trial.innerText(), /Smoke test: /);
    const written = parametersOf(target);
    const source = parametersOf(join(vscode.folder, 'model.safetensors'));
    assertShown(before, source.parameters);
    assertShown(after, written.parameters);
    const factored = written.names.filter((name) => name.endsWith('.lowrank_a.weight'));
    assert.ok(factored.length > 0);
    for (const name of factored) assert.ok(written.names.includes(name.replace('lowrank_a', 'lowrank_b')), name);
    const code = join(vscode.folder, 'smaller.py');
    assert.ok(existsSync(code));
    assert.match(readFileSync(code, 'utf8'), /class \w+\(.*Module\)/);
    await vscode.screenshot('plan-applied');
  });
});

/** All tensors of a safetensors file without tied ones, from its header. */
function parametersOf(file: string): { names: string[]; parameters: number } {
  const bytes = readFileSync(file);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE()))) as Record<
    string,
    { shape: number[] }
  >;
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__');
  const parameters = tensors.reduce((sum, [, { shape }]) => sum + elementCount(shape), 0);
  return { names: tensors.map(([name]) => name), parameters };
}

/** `395K` stands for a count with three significant digits. */
function assertShown(text: string, count: number): void {
  const unit = text.endsWith('K') ? 1e3 : text.endsWith('M') ? 1e6 : 1;
  const shown = Number.parseFloat(text.replaceAll(',', '')) * unit;
  assert.ok(Math.abs(shown - count) <= 0.0051 * count, `${text} is shown for ${count}`);
}
