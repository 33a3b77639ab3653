import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openVscode, type Vscode } from '../../src/build/host/vscode.ts';
import { chooseInContextMenu, eventually, webviewPage } from './workbench.ts';

describe('LoRA, in the installed extension', function () {
  this.timeout(120_000);
  let vscode: Vscode;

  before(async () => {
    vscode = await openVscode();
    tune(join(vscode.folder, 'model.safetensors'), join(vscode.folder, 'tuned.safetensors'));
  });
  after(() => vscode?.close());
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await vscode?.screenshot(`failed-${this.currentTest.title.slice(0, 40)}`);
  });

  it('opens its page from the menu of a checkpoint', async () => {
    await chooseInContextMenu(vscode.page, 'model.safetensors', 'Suggest LoRA Ranks', 'LoRA');
    const lora = await webviewPage(vscode.page, 'lora', 'LoRA for model.safetensors');
    await lora.getByRole('button', { name: 'Suggest ranks' }).click();
    const table = lora.getByRole('table', { name: 'A rank for each module' });
    await table.getByText('model.layers.0.self_attn.q_proj').waitFor({ timeout: 60_000 });
    await vscode.screenshot('lora-in-vscode');
  });

  it('extracts an adapter of a tuned model, at the ranks that were chosen from what each would give', async () => {
    const { page } = vscode;
    await chooseInContextMenu(page, 'tuned.safetensors', 'Extract Adapter...', 'LoRA');
    const title = page.locator('.quick-input-title', { hasText: 'The Base of tuned.safetensors' });
    await title.waitFor();
    await pick(/A file/);
    const input = page.locator('.quick-input-widget:visible input').first();
    const base = join(vscode.folder, 'model.safetensors');
    await eventually(async () => {
      await input.fill(base);
      await page.waitForTimeout(700);
      assert.equal(await input.inputValue(), base);
      await page
        .locator('.quick-input-widget:visible')
        .getByRole('button', { name: 'Choose' })
        .click({ timeout: 3000 });
    });
    // The update has rank 2: what is left of it at rank 1 is the smaller of two directions.
    const form = page.locator('.quick-input-title', { hasText: 'Extract an Adapter from tuned.safetensors' });
    await form.waitFor({ timeout: 60_000 });
    await pick(/^Ranks/);
    const choice = page.locator('.quick-input-list').getByRole('option', { name: /^rank 1 in each matrix/ });
    await choice.waitFor();
    await vscode.screenshot('lora-extract-choices');
    await choice.click();
    await form.waitFor();
    await pick(/Write the adapter/);
    await webviewPage(page, 'inspector', 'adapter_model.safetensors');
    await page.locator('.notifications-toasts').getByText('1 matrices').waitFor();
    await vscode.screenshot('lora-extracted');
    const folder = join(vscode.folder, 'tuned-lora');
    assert.ok(existsSync(join(folder, 'adapter_model.safetensors')));
    const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as Record<string, unknown>;
    assert.deepEqual([config.r, config.target_modules], [1, ['model.layers.0.self_attn.q_proj']]);
  });

  async function pick(name: RegExp): Promise<void> {
    const option = vscode.page.locator('.quick-input-list').getByRole('option', { name }).first();
    await eventually(() => option.click({ timeout: 3000 }));
  }
});

/** Adds two directions to one matrix of a checkpoint in BF16. */
function tune(source: string, out: string): void {
  const bytes = readFileSync(source);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, { data_offsets: [number, number] }>;
  const [from] = header['model.layers.0.self_attn.q_proj.weight']!.data_offsets;
  const [rows, cols] = [96, 96];
  const [word, value] = [new Uint32Array(1), new Float32Array(1)];
  const bits = new Uint32Array(value.buffer);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < cols; j++) {
      const at = start + from + 2 * (i * cols + j);
      word[0] = bytes.readUInt16LE(at) << 16;
      bits[0] = word[0];
      value[0] = value[0]! + 0.3 * Math.sin(i) * Math.cos(j) + 0.1 * Math.sin(2 * i + 1) * Math.cos(3 * j);
      bytes.writeUInt16LE((bits[0]! + 0x8000) >>> 16, at);
    }
  writeFileSync(out, bytes);
}
