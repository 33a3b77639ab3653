import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TrainingReport } from '../../../src/model/training/training.ts';
import { IDLE, type TrainingCalls, type TrainingSnapshot } from '../../../src/protocol/page.ts';
import { createService } from '../../../src/service/service.ts';
import { f32File, type Values } from '../../unit/formats/safetensorsBytes.ts';
import { noise } from '../../unit/service/matrices.ts';
import { type OpenOptions, type PageHarness, startHarness } from './pageHarness.ts';
import { seriousViolations } from './violations.ts';
import { waitFor } from './waitFor.ts';

const SHAPES = { 'self_attn.q_proj': [56, 56], 'self_attn.v_proj': [28, 56], 'mlp.up_proj': [64, 56] } as const;

/** Six checkpoints of a model of four layers whose matrices move away from where they began, deep ones most. */
async function followed(): Promise<TrainingReport> {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-training-'));
  const service = createService({});
  try {
    for (let at = 0; at < 6; at++) {
      const tensors: Record<string, Values> = {};
      for (let layer = 0; layer < 4; layer++)
        for (const [place, [module, [rows, cols]]] of Object.entries(SHAPES).entries()) {
          const [own, moved] = [noise(rows, cols, 10 * layer + place), noise(rows, cols, 10 * layer + place + 500)];
          const part = 0.004 * at * at * (layer + 1);
          const values = Array.from(own.values, (value, i) => value * 0.95 ** (i % cols) + part * moved.values[i]!);
          tensors[`model.layers.${layer}.${module}.weight`] = { shape: [rows, cols], values };
        }
      const step = join(folder, `checkpoint-${500 * (at + 1)}`);
      mkdirSync(step);
      const heads = { num_attention_heads: 4, num_key_value_heads: 2 };
      writeFileSync(join(step, 'config.json'), JSON.stringify(heads));
      writeFileSync(join(step, 'model.safetensors'), f32File(tensors));
    }
    return await service.training({ folder, threads: 1 });
  } finally {
    await service.close();
    rmSync(folder, { recursive: true });
  }
}

describe('training page', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  let report: TrainingReport;
  let asked: string[];
  const open = (options: OpenOptions = {}) => {
    asked = [];
    const snapshot: TrainingSnapshot = { path: '/runs/story', report, run: { ...IDLE, status: 'done' }, error: null };
    return harness.open<TrainingCalls, Partial<TrainingSnapshot>>(
      'training',
      {
        ready: async () => snapshot,
        run: async () => void asked.push('run'),
        cancel: async () => void asked.push('cancel'),
        save: async ({ content }) => {
          asked.push(`save ${(JSON.parse(content) as TrainingReport).steps.length}`);
          return true;
        },
      },
      options,
    );
  };
  before(async () => {
    mkdirSync('test-output/screenshots', { recursive: true });
    harness = await startHarness();
    report = await followed();
  });

  it('shows the modules over the steps, and opens one into its layers and a layer into its heads', async () => {
    const { page, assertNoFaults, close } = await open();
    const curves = page.getByRole('group', { name: 'Curves' });
    await curves.getByRole('button', { name: 'mlp.up_proj' }).waitFor();
    assert.equal(await page.getByRole('img', { name: /over steps$/ }).count(), 6);
    await page.screenshot({ path: 'test-output/screenshots/training.png', fullPage: true });
    await curves.getByRole('button', { name: 'self_attn.q_proj' }).click();
    await waitFor(async () => (await curves.getByRole('button').count()) === 4);
    await curves.getByRole('button', { name: '3' }).click();
    await waitFor(async () => (await curves.innerText()).includes('head 3'));
    await page.screenshot({ path: 'test-output/screenshots/training-heads.png', fullPage: true });
    const q = report.matrices.find(({ name }) => name === 'model.layers.3.self_attn.q_proj.weight')!;
    const all = [q.curves, ...q.heads!].map(({ norm }) => norm[5]!);
    const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
    const row = page.getByRole('table').locator('tbody tr').last();
    const [, , , , norm] = await row.locator('td').allInnerTexts();
    assert.ok(Math.abs(Number(norm) - mean) <= 0.01 * mean, `${norm} is shown for ${mean}`);
    await page.getByRole('button', { name: 'Save the curves as JSON' }).click();
    await page.getByRole('button', { name: 'Read again' }).click();
    await waitFor(async () => asked.length === 2);
    assert.deepEqual(asked, ['save 6', 'run']);
    const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
    assert.ok((overflow as number) <= 0, `${overflow} pixels are cut off`);
    await assertNoFaults();
    await close();
  });

  it('has no serious fault of accessibility (axe), in dark', async () => {
    const { page, assertNoFaults, close } = await open();
    await page.getByRole('img', { name: 'Norm over steps' }).waitFor();
    assert.deepEqual(await seriousViolations(page), []);
    await assertNoFaults();
    await close();
  });
});
