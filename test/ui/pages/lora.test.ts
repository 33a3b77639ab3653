import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IDLE, type LoraCalls, type LoraSnapshot } from '../../../src/protocol/page.ts';
import { createService } from '../../../src/service/service.ts';
import { LoraDesk } from '../../../src/window/lora/loraDesk.ts';
import { noise, writeMatrices } from '../../unit/service/matrices.ts';
import { type OpenOptions, type PageHarness, startHarness } from './pageHarness.ts';
import { seriousViolations } from './violations.ts';
import { waitFor } from './waitFor.ts';

describe('LoRA page', function () {
  this.timeout(120_000);
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-lora-'));
  const service = createService({});
  let harness: PageHarness;
  let desk: LoraDesk;
  let asked: string[];
  let copied = '';
  const open = (path: string, options: OpenOptions = {}) => {
    asked = [];
    desk = new LoraDesk(path, service, () => ({ threads: 1 }));
    return harness.open<LoraCalls, Partial<LoraSnapshot>>(
      'lora',
      {
        ready: async () => {
          await desk.open();
          return desk.snapshot();
        },
        chooseActivations: async () => void asked.push('choose'),
        dropActivations: async () => void asked.push('drop'),
        suggest: async (choice) => void (await desk.suggest(choice)),
        cancel: async () => void asked.push('cancel'),
        copy: async ({ text }) => {
          copied = text;
        },
        open: async ({ language }) => void asked.push(`open ${language}`),
        save: async ({ suggestedName }) => asked.push(`save ${suggestedName}`) > 0,
      },
      options,
    );
  };
  before(async () => {
    mkdirSync('test-output/screenshots', { recursive: true });
    harness = await startHarness();
  });
  after(async () => {
    await service.close();
    rmSync(folder, { recursive: true });
  });

  it('counts a usual model for each rank and set of modules, beside what tutorials count', async () => {
    const { page, assertNoFaults, close } = await open('');
    await page.getByRole('combobox', { name: 'Model' }).selectOption('Llama-3.1-8B');
    // 8,030,261,248 parameters; r (m + n) over q, k, v, o, gate, up and down of 32 layers.
    const [d, kv, inner] = [4096, 1024, 14_336];
    const all = 16 * 32 * (2 * (d + d) + 2 * (d + kv) + 3 * (d + inner));
    const answer = page.locator('.answer');
    await answer.getByText(`trains ${all.toLocaleString('en-US')} parameters, 0.522 % of the model`).waitFor();
    await answer.getByText(`gives ${(2 * d * 16 * 7 * 32).toLocaleString('en-US')}`).waitFor();
    await answer.getByText('k_proj and v_proj are narrower, as queries share keys and values').waitFor();
    await page.getByRole('combobox', { name: 'Target modules' }).selectOption('q,v');
    await page.getByRole('button', { name: 'query and value, rank 64' }).click();
    await answer.getByText(`trains ${(64 * 32 * (d + d + d + kv)).toLocaleString('en-US')} parameters`).waitFor();
    assert.equal(await page.getByRole('spinbutton', { name: 'Rank' }).inputValue(), '64');
    const shapes = page.getByRole('table', { name: 'Break-even rank of each shape' });
    const rows = (await shapes.locator('tbody tr').allInnerTexts()).map((row) => row.split('\t').slice(1, 4).join(' '));
    assert.deepEqual(rows, [
      '4096 × 4096 64 2048',
      '1024 × 4096 64 819',
      '14336 × 4096 64 3185',
      '4096 × 14336 32 3185',
    ]);
    await page.getByRole('spinbutton', { name: 'Rank' }).fill('1000');
    await page.keyboard.press('Tab');
    await answer.getByText('In 32 modules, two factors of rank 1000 are larger than the matrix itself.').waitFor();
    await page.getByText('This needs the weights').waitFor();
    await page.screenshot({ path: 'test-output/screenshots/lora-usual.png', fullPage: true });
    assert.ok(((await page.evaluate('document.documentElement.scrollWidth - innerWidth')) as number) <= 0);
    await assertNoFaults();
    await close();
  });

  it('suggests a rank for each module of a checkpoint and writes it for each tool', async () => {
    const layer = (index: number) =>
      Object.fromEntries(
        ['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((module, place) => {
          const narrow = module === 'k_proj' || module === 'v_proj';
          const matrix = noise(narrow ? 16 : 64, 64, 10 * index + place);
          return [`model.layers.${index}.self_attn.${module}.weight`, matrix] as const;
        }),
      );
    const path = writeMatrices(join(folder, 'model.safetensors'), { ...layer(0), ...layer(1), ...layer(2) });
    const { page, host, assertNoFaults, close } = await open(path);
    const off = () => desk.updates.on((update) => host.update(update));
    off();
    await page.getByRole('heading', { name: 'LoRA for model.safetensors' }).waitFor();
    await page.getByRole('combobox', { name: 'Target modules' }).selectOption('attention');
    await page.getByRole('spinbutton', { name: 'Rank' }).fill('4');
    await page.getByRole('button', { name: 'Suggest ranks' }).click();
    const table = page.getByRole('table', { name: 'A rank for each module' });
    await table.waitFor();
    const { suggestion } = desk.snapshot();
    assert.deepEqual([suggestion?.targets, suggestion?.uniformRank], ['attention', 4]);
    const ranks = await table.locator('tbody tr td:nth-child(5)').allInnerTexts();
    assert.deepEqual(
      ranks.map(Number),
      suggestion?.modules.map((module) => module.rank),
    );
    await table.getByText('% of its smaller side').first().waitFor();
    await page.getByRole('button', { name: 'Copy' }).click();
    await waitFor(async () => copied !== '');
    assert.match(copied, /^# LoRA for .*rank \d+; effective rank of W.*from peft import LoraConfig.*rank_pattern=/s);
    await page.getByRole('combobox', { name: 'Configuration' }).selectOption('adapter_config.json');
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByRole('button', { name: 'Save…' }).click();
    const config = JSON.parse(await page.locator('pre.code').innerText()) as Record<string, unknown>;
    assert.deepEqual([config.peft_type, config.r], ['LORA', 4]);
    await page.getByRole('combobox', { name: 'Configuration' }).selectOption('axolotl.yaml');
    await page.getByText('lora_target_modules:').waitFor();
    assert.deepEqual(asked, ['open json', 'save adapter_config.json']);
    await page.screenshot({ path: 'test-output/screenshots/lora.png', fullPage: true });
    assert.ok(((await page.evaluate('document.documentElement.scrollWidth - innerWidth')) as number) <= 0);
    assert.deepEqual(await seriousViolations(page), []);
    await assertNoFaults();
    await close();
  });

  it('says why a checkpoint cannot be adapted', async () => {
    const missing = join(folder, 'missing.safetensors');
    const { page, assertNoFaults, close } = await open(missing);
    await page.getByRole('alert').getByText(missing).waitFor();
    assert.deepEqual(desk.snapshot().run, IDLE);
    await assertNoFaults();
    await close();
  });
});
