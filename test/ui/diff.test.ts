import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from 'playwright-core';
import { openVscode, type Vscode } from '../../src/build/host/vscode.ts';
import { chooseInContextMenu, choosePath, eventually, explorerItem, webviewPage } from './workbench.ts';

const QUERIES = 'model.layers.0.self_attn.q_proj.weight';
/** The first of four heads has this share of the rows. */
const HEAD = 1 / 4;

describe('two checkpoints, in the installed extension', function () {
  this.timeout(120_000);
  let vscode: Vscode;
  let diff: Frame;

  before(async () => {
    vscode = await openVscode({
      prepare(folder) {
        const bytes = readFileSync(join(folder, 'model.safetensors'));
        // Another sign in the BF16 entries of the first head.
        const { from, to } = placeOf(bytes, QUERIES);
        for (let at = from + 1; at < from + HEAD * (to - from); at += 2) bytes[at]! ^= 0x80;
        writeFileSync(join(folder, 'tuned.safetensors'), bytes);
        for (const [step, name] of Object.entries({ 500: 'model', 1000: 'tuned' })) {
          mkdirSync(join(folder, `run/checkpoint-${step}`), { recursive: true });
          const place = join(folder, `run/checkpoint-${step}`);
          cpSync(join(folder, 'config.json'), join(place, 'config.json'));
          cpSync(join(folder, `${name}.safetensors`), join(place, 'model.safetensors'));
        }
      },
    });
  });
  after(() => vscode?.close());
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await vscode?.screenshot(`failed-${this.currentTest.title.slice(0, 40)}`);
  });

  it('are compared where one was selected for it and the other is chosen in the Explorer', async () => {
    const { page } = vscode;
    await chooseInContextMenu(page, 'model.safetensors', 'Select Checkpoint for Compare');
    await chooseInContextMenu(page, 'tuned.safetensors', 'Compare Checkpoints');
    diff = await webviewPage(page, 'diff', 'model.safetensors → tuned.safetensors');
    await diff.getByText('1 tensor changed').waitFor();
    await vscode.screenshot('diff-in-vscode');
  });

  it('are mixed: heads go back to the base by a button', async () => {
    await eventually(async () => {
      const field = diff.getByRole('textbox', { name: 'Heads to take back' });
      await field.fill('0.0', { timeout: 3000 });
      await field.press('Tab');
      const button = diff.getByRole('button', { name: 'Take these heads back to the base…' });
      assert.equal(await button.isEnabled(), true);
    });
    const target = join(vscode.folder, 'mixed.safetensors');
    await choosePath(vscode.page, diff.getByRole('button', { name: 'Take these heads back to the base…' }), target);
    await webviewPage(vscode.page, 'inspector', 'mixed.safetensors');
    const values = ['model', 'mixed'].map((name) => {
      const bytes = readFileSync(join(vscode.folder, `${name}.safetensors`));
      const { from, to } = placeOf(bytes, QUERIES);
      return bytes.subarray(from, to);
    });
    assert.deepEqual(values[0], values[1]);
  });

  it('are compared where both are selected in the Explorer, and their difference becomes a LoRA', async () => {
    const { page } = vscode;
    await eventually(async () => {
      await page.keyboard.press('Escape');
      // Not the one that was selected for comparing before, which a single selection would be compared with.
      await explorerItem(page, 'mixed.safetensors').click({ timeout: 3000 });
      await explorerItem(page, 'tuned.safetensors').click({ timeout: 3000, modifiers: ['ControlOrMeta'] });
      const chosen = page.locator('.explorer-folders-view [role=treeitem][aria-selected=true]');
      assert.equal(await chosen.count(), 2);
    });
    await chooseInContextMenu(page, 'tuned.safetensors', 'Compare Checkpoints');
    const pages = () => page.locator('.tabs-container .tab', { hasText: 'mixed.safetensors ↔ tuned.safetensors' });
    await eventually(async () => assert.equal(await pages().count(), 1));
    // Of both pages, the one in front has the button that can be clicked.
    await eventually(async () => {
      const front = page.frames();
      for (const frame of front) {
        const button = frame.getByRole('button', { name: 'Extract this as a LoRA…' });
        if (await button.isVisible().catch(() => false)) return button.click({ timeout: 3000 });
      }
      throw new Error('no page offers to extract a LoRA');
    });
    const write = page.locator('.quick-input-list').getByRole('option', { name: /Write the adapter/ });
    await eventually(() => write.click({ timeout: 3000 }), 60_000);
    await webviewPage(page, 'inspector', 'adapter_model.safetensors');
    const adapter = readFileSync(join(vscode.folder, 'tuned-lora/adapter_model.safetensors'));
    assert.match(headerOf(adapter), /layers\.0\.self_attn\.q_proj\.lora_A\.weight/);
  });

  it('of one training run are followed over its steps, where their folder is chosen in the Explorer', async () => {
    const { page } = vscode;
    await chooseInContextMenu(page, 'run', 'Show Training Curves');
    const training = await webviewPage(page, 'training', 'Training in run');
    await training.getByText('2 checkpoints, step 500 to 1000').waitFor({ timeout: 60_000 });
    await vscode.screenshot('training-in-vscode');
  });
});

function headerOf(bytes: Buffer): string {
  return bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE()));
}

/** Where the bytes of a tensor of a safetensors file begin and end. */
function placeOf(bytes: Buffer, name: string): { from: number; to: number } {
  const header = JSON.parse(headerOf(bytes)) as Record<string, { data_offsets: [number, number] }>;
  const [from, to] = header[name]!.data_offsets;
  const start = 8 + Number(bytes.readBigUInt64LE());
  return { from: start + from, to: start + to };
}
