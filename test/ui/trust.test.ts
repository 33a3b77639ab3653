import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import type { Frame } from 'playwright-core';
import { openVscode, type Vscode } from '../../src/build/host/vscode.ts';
import { chooseInContextMenu, eventually, openSideBar, runCommand, showTable, webviewPage } from './workbench.ts';

describe('an untrusted workspace, in the installed extension', function () {
  this.timeout(120_000);
  let vscode: Vscode;
  let inspector: Frame;
  let original: readonly string[];
  const data = mkdtempSync(join(os.tmpdir(), 'rankscope-untrusted-'));

  before(async () => {
    vscode = await openVscode({
      data,
      askTrust: true,
      settings: { 'security.workspace.trust.startupPrompt': 'never' },
    });
    original = filesIn(vscode.folder);
  });
  after(async () => {
    await vscode?.close();
    rmSync(data, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed')
      await vscode?.screenshot(`failed-trust-${this.currentTest.title.slice(0, 30)}`);
  });

  it('is analyzed like any other', async () => {
    await chooseInContextMenu(vscode.page, 'model.safetensors', 'Analyze Weight Ranks');
    inspector = await webviewPage(vscode.page, 'inspector', 'model.safetensors');
    await inspector
      .getByRole('application', { name: /Heatmap/ })
      .first()
      .waitFor();
    await showTable(inspector, true);
    await eventually(async () => {
      const rows = await inspector.locator('.table-root tbody tr').allInnerTexts();
      assert.ok(rows.length > 0);
      assert.deepEqual(
        rows.filter((row) => !row.includes('exact')),
        [],
      );
    }, 60_000);
  });

  it('shows a plan that can be neither applied nor saved', async () => {
    await openSideBar(vscode.page, 'Rankscope');
    const plan = await webviewPage(vscode.page, 'plan');
    await plan.getByText('This workspace is not trusted').waitFor();
    await plan.locator('.headline strong').waitFor();
    for (const name of ['Apply…', 'Save plan…']) {
      const button = plan.getByRole('button', { name, exact: true });
      assert.ok(await button.isDisabled(), name);
    }
    await vscode.screenshot('plan-not-trusted');
  });

  it('does not save the numbers and says why', async () => {
    await eventually(async () => {
      await inspector.getByRole('button', { name: 'Save the numbers as CSV' }).click({ timeout: 3000 });
      await eventually(async () => {
        const shown = `${await vscode.page.locator('body').innerText()} ${await inspector.locator('body').innerText()}`;
        assert.match(shown, /not trusted, so Rankscope does not write files/);
      }, 5000);
    });
  });

  it('gets no script for Python, and says why', async () => {
    await runCommand(vscode.page, 'Notifications: Clear All Notifications');
    await vscode.page.locator('.notifications-toasts').getByText('not trusted').waitFor({ state: 'hidden' });
    await openSideBar(vscode.page, 'Explorer');
    await chooseInContextMenu(vscode.page, 'model.safetensors', 'Measure Perplexity with Python in a Terminal...');
    await eventually(async () => {
      const shown = await vscode.page.locator('.notifications-toasts').innerText();
      assert.match(shown, /not trusted, so Rankscope does not write files/);
    });
  });

  it('runs an engine process that was not told to trust it', () => {
    if (process.platform !== 'linux') return;
    const words = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => commandOf(pid))
      .find(([, script]) => script?.startsWith(vscode.extension) && script.endsWith('engine.js'));
    assert.ok(words);
    assert.ok(words.includes('--no-cache'), String(words));
    assert.ok(!words.includes('--trusted'), String(words));
  });

  it('contains nothing new afterwards', () => {
    assert.deepEqual(filesIn(vscode.folder), original);
    const kept = filesIn(data).filter((file) => /globalStorage[\\/]rankscope\.rankscope[\\/]/.test(file));
    assert.deepEqual(kept, []);
  });
});

function commandOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
