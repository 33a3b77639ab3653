import assert from 'node:assert/strict';
import { join } from 'node:path';
import { openVscode, type Vscode } from '../../src/build/host/vscode.ts';
import { analyzed } from './commandLine.ts';
import { chooseInContextMenu, eventually, hoverText, openAtLine, webviewPage } from './workbench.ts';

describe('model code, in the installed extension', function () {
  this.timeout(120_000);
  let vscode: Vscode;

  before(async () => {
    vscode = await openVscode();
  });
  after(() => vscode?.close());
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await vscode?.screenshot(`failed-${this.currentTest.title.slice(0, 40)}`);
  });

  it('shows the ranks of a layer when its name is hovered', async () => {
    const { page } = vscode;
    await chooseInContextMenu(page, 'model.safetensors', 'Analyze Weight Ranks');
    const inspector = await webviewPage(page, 'inspector', 'model.safetensors');
    await eventually(async () => assert.match(await inspector.locator('.progress-text').innerText(), /analyzed/));
    await openAtLine(page, join(vscode.folder, 'model.py'), 'self.q_proj = nn.Linear');
    const text = await hoverText(page, 'self.q_proj = nn.Linear', 'q_proj', /rank/i);
    const ranks = analyzed(join(vscode.folder, 'model.safetensors'))
      .filter(({ name }) => name.endsWith('self_attn.q_proj.weight'))
      .map(({ effectiveRank }) => effectiveRank)
      .toSorted((a, b) => a - b);
    const middle = ranks.length / 2;
    const median = ((ranks[Math.floor(middle - 0.5)] ?? 0) + (ranks[Math.floor(middle)] ?? 0)) / 2;
    assert.ok(
      numbersIn(text).some((value) => Math.abs(value - median) <= 0.051),
      `${median} is not in: ${text}`,
    );
    await vscode.screenshot('hover');
  });

  it('shows nothing for a name that no tensor has', async () => {
    const { page } = vscode;
    await openAtLine(page, join(vscode.folder, 'model.py'), 'class Config');
    await assert.rejects(hoverText(page, 'class Config', 'Config', /rank/i, 2000), /Timeout/);
  });
});

function numbersIn(text: string): number[] {
  return (text.match(/\d+(\.\d+)?/g) ?? []).map(Number);
}
