import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelDiff } from '../../../src/model/diff/diff.ts';
import { type DiffCalls, type DiffSnapshot, IDLE } from '../../../src/protocol/page.ts';
import type { Service } from '../../../src/protocol/service.ts';
import { createService } from '../../../src/service/service.ts';
import { f32File, type Values } from '../../unit/formats/safetensorsBytes.ts';
import { noise } from '../../unit/service/matrices.ts';
import { type OpenOptions, type PageHarness, startHarness } from './pageHarness.ts';
import { seriousViolations } from './violations.ts';
import { waitFor } from './waitFor.ts';

const LAYERS = 6;
const HIDDEN = 32;
const SHAPES = {
  'self_attn.q_proj': [32, 32],
  'self_attn.k_proj': [16, 32],
  'self_attn.v_proj': [16, 32],
  'self_attn.o_proj': [32, 32],
  'mlp.gate_proj': [48, 32],
  'mlp.up_proj': [48, 32],
  'mlp.down_proj': [32, 48],
} as const;

/** A model, and the same with rank 2 differences that grow with depth, a larger vocabulary and a changed norm. */
function write(folder: string, tuned: boolean): string {
  const tensors: Record<string, Values> = {};
  const put = (name: string, shape: number[], values: ArrayLike<number>) => {
    tensors[name] = { shape, values: Array.from(values) };
  };
  put('model.embed_tokens.weight', [tuned ? 60 : 50, HIDDEN], noise(tuned ? 60 : 50, HIDDEN, 1).values);
  put('model.norm.weight', [HIDDEN], new Float32Array(HIDDEN).fill(tuned ? 1.05 : 1));
  for (let layer = 0; layer < LAYERS; layer++)
    for (const [place, [module, [rows, cols]]] of Object.entries(SHAPES).entries()) {
      const seed = 100 * layer + 10 * place;
      const values = Float32Array.from(noise(rows, cols, seed + 2).values);
      const [u, v] = [noise(rows, 2, seed + 3).values, noise(2, cols, seed + 4).values];
      const isChanged = tuned && module !== 'mlp.up_proj';
      for (let at = 0; isChanged && at < values.length; at++)
        for (let k = 0; k < 2; k++)
          values[at]! += 0.06 * layer * u[2 * Math.floor(at / cols) + k]! * v[k * cols + (at % cols)]!;
      put(`model.layers.${layer}.${module}.weight`, [rows, cols], values);
    }
  if (tuned) put('value_head.weight', [1, HIDDEN], noise(1, HIDDEN, 9).values);
  const path = join(folder, tuned ? 'tuned' : 'base');
  mkdirSync(path);
  writeFileSync(join(path, 'config.json'), JSON.stringify({ num_attention_heads: 8, num_key_value_heads: 4 }));
  writeFileSync(join(path, 'model.safetensors'), f32File(tensors));
  return path;
}

describe('diff page', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  let folder: string;
  let service: Service & { close(): Promise<void> };
  let diff: ModelDiff;
  let asked: string[];
  const open = (options: OpenOptions = {}) => {
    asked = [];
    const [base, other] = [diff.base.path, diff.other.path];
    const snapshot: DiffSnapshot = { base, other, diff, run: { ...IDLE, status: 'done' }, error: null };
    return harness.open<DiffCalls, Partial<DiffSnapshot>>(
      'diff',
      {
        ready: async () => snapshot,
        run: async () => void asked.push('run'),
        cancel: async () => void asked.push('cancel'),
        swap: async () => void asked.push('swap'),
        spectra: async ({ name }) => {
          const own = await service.diff({ base, other, tensors: [name], spectra: true, threads: 1 });
          return own.matrices;
        },
        reveal: async ({ path, name }) => void asked.push(`reveal ${path === base ? 'base' : 'other'} ${name}`),
        restore: async ({ heads }) => void asked.push(`restore ${heads}`),
        extract: async () => void asked.push('extract'),
        save: async ({ suggestedName, content }) => {
          asked.push(`save ${suggestedName} ${content.split('\n').length}`);
          return true;
        },
      },
      options,
    );
  };
  before(async () => {
    mkdirSync('test-output/screenshots', { recursive: true });
    folder = mkdtempSync(join(tmpdir(), 'rankscope-diff-'));
    service = createService({});
    harness = await startHarness();
    diff = await service.diff({ base: write(folder, false), other: write(folder, true), threads: 1 });
  });
  after(async () => {
    await service.close();
    rmSync(folder, { recursive: true });
  });

  it('shows the differences by layer and module, and a selected matrix with its spectra and angles', async () => {
    const { page, assertNoFaults, close } = await open();
    // Six modules in each layer but the first, and a norm.
    await page.getByText('31 tensors changed').waitFor();
    await page.getByRole('combobox', { name: 'Measure', exact: true }).selectOption('rank');
    const map = page.getByRole('application', { name: 'Heatmap of the differences with layers as rows' });
    await map.focus();
    // The first cell is q of layer 0, which has no difference; that of layer 4 has rank 2.
    for (let row = 0; row < 4; row++) await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    const pane = page.getByRole('complementary', { name: 'Selected matrix' });
    await pane.getByRole('heading', { name: 'model.layers.4.self_attn.q_proj.weight' }).waitFor();
    assert.match(await pane.innerText(), /Rank of the difference\s*2 \(99 % of its energy\)/);
    await page.getByRole('img', { name: /^Singular values of model\.layers\.4/ }).waitFor();
    const own = await service.diff({
      base: diff.base.path,
      other: diff.other.path,
      tensors: ['model.layers.4.self_attn.q_proj.weight'],
      spectra: true,
      threads: 1,
    });
    const angles = page.getByRole('list', { name: 'Principal angles of the outputs' }).locator('li');
    assert.deepEqual(
      await angles.allInnerTexts(),
      own.matrices[0]!.spectra!.angles.left.map((angle) => `${angle.toFixed(1)}°`),
    );
    await pane.getByRole('button', { name: 'Show in the other model' }).click();
    await page.getByRole('button', { name: 'Extract this as a LoRA…' }).click();
    await page.getByRole('button', { name: 'Save the numbers of all matrices as CSV' }).click();
    await waitFor(async () => asked.length === 3);
    assert.deepEqual(asked, [
      'reveal other model.layers.4.self_attn.q_proj.weight',
      'extract',
      `save tuned.diff.csv ${diff.matrices.length + 2}`,
    ]);
    await page.screenshot({ path: 'test-output/screenshots/diff.png', fullPage: true });
    const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
    assert.ok((overflow as number) <= 0, `${overflow} pixels are cut off`);
    await assertNoFaults();
    await close();
  });

  it('marks attention heads by click and by text, and has them taken back to the base', async () => {
    const { page, assertNoFaults, close } = await open();
    const map = page.getByRole('application', { name: /with layers as rows and heads as columns/ });
    await map.focus();
    for (const key of ['ArrowDown', 'ArrowRight', 'Enter', 'ArrowRight', 'Enter']) await page.keyboard.press(key);
    const field = page.getByRole('textbox', { name: 'Heads to take back' });
    await waitFor(async () => (await field.inputValue()) === '1.1,1.2');
    await page.getByRole('region', { name: 'Attention heads' }).screenshot({
      path: 'test-output/screenshots/diff-heads.png',
    });
    await page.getByRole('button', { name: 'Take these heads back to the base…' }).click();
    await field.fill('nothing');
    await field.press('Tab');
    await page.getByText("'nothing' names no head").waitFor();
    assert.deepEqual(asked, ['restore 1.1,1.2']);
    await assertNoFaults();
    await close();
  });

  it('lists what is missing, added, reshaped and identical', async () => {
    const { page, assertNoFaults, close } = await open();
    const list = page.getByRole('combobox', { name: 'List' });
    for (const [id, expected] of [
      ['added', /value_head\.weight\s+1 × 32/],
      ['identical', /model\.embed_tokens\.weight\s+50 × 32/],
      ['vectors', /model\.norm\.weight\s+5 %/],
    ] as const) {
      await list.selectOption(id);
      // The list is drawn with the next frame.
      const first = page.getByRole('region', { name: 'Tensors' }).locator('tbody tr').first();
      await waitFor(async () => expected.test(await first.innerText()));
    }
    await assertNoFaults();
    await close();
  });

  it('has no serious fault of accessibility (axe), in light', async () => {
    const { page, assertNoFaults, close } = await open({ theme: 'light' });
    await page.getByRole('application', { name: 'Heatmap of the differences with layers as rows' }).waitFor();
    assert.deepEqual(await seriousViolations(page), []);
    await assertNoFaults();
    await close();
  });
});
