import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { seededRandom } from '../../../src/base/random.ts';
import type { AdapterComparison } from '../../../src/model/comparison.ts';
import type { ComparisonCalls, ComparisonSnapshot } from '../../../src/protocol/page.ts';
import { createService } from '../../../src/service/service.ts';
import { f32File } from '../../unit/formats/safetensorsBytes.ts';
import { type OpenOptions, type PageHarness, startHarness } from './pageHarness.ts';
import type { ThemeName } from './themes.ts';
import { seriousViolations } from './violations.ts';
import { waitFor } from './waitFor.ts';

const MODULES = ['q_proj', 'v_proj', 'mlp.up_proj'];
const DONE = { status: 'done', done: 0, total: 0, message: '', secondsLeft: null } as const;

/** Adapters of one base: the second resembles the first, the third is dead in one layer and lacks another. */
async function compared(): Promise<AdapterComparison> {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-adapters-'));
  const service = createService({});
  try {
    const paths = ['german', 'austrian', 'french'].map((name, which) => {
      const tensors = [0, 1, 2, 3].flatMap((layer) =>
        MODULES.flatMap((module, place) => {
          if (which === 2 && layer === 3) return [];
          const values = (length: number, factor: number) => {
            const one = seededRandom(100 * layer + 10 * place + factor);
            const other = seededRandom(100 * layer + 10 * place + factor + 5000 * which);
            const share = which === 2 ? 1 : 0.3 * which;
            return Array.from({ length }, () => {
              const [a, b] = [one.normal(), other.normal()];
              return which === 2 && layer === 0 ? 0 : (1 - share) * a + share * b;
            });
          };
          const base = `base_model.model.model.layers.${layer}.${module}`;
          return [
            [`${base}.lora_A.weight`, { shape: [4, 48], values: values(192, 1) }] as const,
            [`${base}.lora_B.weight`, { shape: [32, 4], values: values(128, 2) }] as const,
          ];
        }),
      );
      const file = join(folder, name);
      mkdirSync(file);
      writeFileSync(join(file, 'adapter_model.safetensors'), f32File(Object.fromEntries(tensors)));
      const config = { r: 4, lora_alpha: 8, base_model_name_or_path: which === 2 ? 'other/base' : 'some/base' };
      writeFileSync(join(file, 'adapter_config.json'), JSON.stringify(config));
      return file;
    });
    return await service.compare({ paths });
  } finally {
    await service.close();
    rmSync(folder, { recursive: true });
  }
}

describe('comparison page', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  let comparison: AdapterComparison;
  let asked: string[];
  let saved: string[];
  const open = async (change: Partial<ComparisonSnapshot> = {}, options: OpenOptions = {}) => {
    asked = [];
    saved = [];
    const paths = comparison.adapters.map((adapter) => adapter.path);
    const snapshot: ComparisonSnapshot = { paths, comparison, run: DONE, error: null, ...change };
    return harness.open<ComparisonCalls, Partial<ComparisonSnapshot>>(
      'comparison',
      {
        ready: async () => snapshot,
        run: async () => void asked.push('run'),
        cancel: async () => void asked.push('cancel'),
        reveal: async (target) => void asked.push(`reveal ${basename(target.path)} ${target.name}`),
        save: async ({ content }) => {
          saved.push(content);
          return true;
        },
      },
      options,
    );
  };

  before(async () => {
    mkdirSync('test-output/screenshots', { recursive: true });
    harness = await startHarness();
    comparison = await compared();
  });

  it('shows the adapters, how alike each two are, and every layer; what to know stands first', async () => {
    const { page, assertNoFaults, close } = await open();
    await page.getByRole('heading', { name: '3 adapters, 12 layers' }).waitFor();
    await page.getByText(/different bases \(german: some\/base; austrian: some\/base; french: other\/base\)/).waitFor();
    assert.equal(await page.getByRole('table', { name: 'Adapters', exact: true }).locator('tbody tr').count(), 3);
    const square = page.getByRole('table', { name: /^Cosine of each pair/ });
    const [pair] = comparison.pairs;
    assert.equal(await square.locator('tbody tr').first().locator('td').nth(1).innerText(), pair!.cosine!.toFixed(2));
    const layers = page.getByRole('table', { name: 'Layers with their cosine' });
    assert.equal(await layers.locator('tbody tr').count(), 12);
    const cells = await layers.locator('tbody tr').first().locator('td').allInnerTexts();
    // The third adds nothing in the first layer.
    assert.deepEqual(cells.slice(1, 3), ['–', '–']);
    assert.equal(cells[0], comparison.layers[0]!.pairs[0]!.cosine!.toFixed(2));
    await assertNoFaults();
    await close();
  });

  it('says whether one rank serves all adapters, and shows the effective rank of each by module', async () => {
    const { page, assertNoFaults, close } = await open();
    const { across, layers } = comparison;
    await page.getByText(across.sentence).waitFor();
    const table = page.getByRole('table', { name: 'Effective rank by module' });
    assert.equal(await table.locator('tbody tr').count(), MODULES.length);
    const cells = await table.locator('tbody tr').first().locator('td').allInnerTexts();
    const own = layers.filter(({ module }) => module === across.modules[0]!.module);
    const ranks = own.map(({ updates }) => updates[0]!.effectiveRank);
    const mean = ranks.reduce((sum, rank) => sum + rank, 0) / ranks.length;
    assert.ok(Math.abs(Number(cells[1]) - mean) < 0.01, `${cells[1]} for ${mean}`);
    assert.match(cells.at(-1)!, /^\d+ of \d+$/);
    await assertNoFaults();
    await close();
  });

  it('shows another measure, keeps it over a reload, and sorts by it', async () => {
    const { page, assertNoFaults, close } = await open();
    await page.getByRole('combobox', { name: 'Measure for each layer' }).selectOption('norm');
    const table = page.getByRole('table', { name: 'Layers with their norm of the update' });
    await table.waitFor();
    assert.equal(await table.locator('tbody tr').first().locator('td').nth(2).innerText(), 'dead');
    assert.equal(await table.locator('tbody tr').last().locator('td').nth(2).innerText(), '–');
    await table.getByRole('button', { name: 'german' }).click();
    const norms = (await table.locator('tbody tr td:nth-child(2)').allInnerTexts()).map(Number);
    assert.deepEqual(
      norms,
      [...norms].sort((a, b) => a - b),
    );
    await page.reload();
    await table.waitFor();
    await assertNoFaults();
    await close();
  });

  it('shows one layer in full, with the chance that an overlap is measured by, and leads to the inspector', async () => {
    const { page, assertNoFaults, close } = await open();
    const { name, updates } = comparison.layers[4]!;
    await page.getByRole('button', { name, exact: true }).click();
    const aside = page.getByRole('complementary', { name: 'Selected layer' });
    await aside.getByRole('heading', { name }).waitFor();
    const rank = `${updates[0]!.utilisedRank} of ${updates[0]!.rank}`;
    assert.ok((await aside.locator('tbody tr').first().innerText()).includes(rank));
    await aside
      .getByText(/chance \d/)
      .first()
      .waitFor();
    await aside.getByRole('button', { name: 'austrian' }).click();
    await waitFor(async () => asked.length > 0);
    assert.deepEqual(asked, [`reveal austrian ${updates[1]!.matrix}`]);
    await page.screenshot({ path: 'test-output/screenshots/comparison.png' });
    // At 1280 pixels, both tables on the right are seen whole.
    for (const name of ['Adapters', 'Pairs of adapters'])
      await aside.getByRole('region', { name: new RegExp(`^${name} of `) }).evaluate((region) => {
        if (region.scrollWidth > region.clientWidth)
          throw new Error(`${region.scrollWidth} px of a table in ${region.clientWidth}`);
      });
    await assertNoFaults();
    await close();
  });

  it('saves all numbers as CSV and JSON', async () => {
    const { page, assertNoFaults, close } = await open();
    await page.getByRole('button', { name: 'Save all numbers as CSV' }).click();
    await page.getByRole('button', { name: 'Save the comparison as JSON' }).click();
    await waitFor(async () => saved.length === 2);
    const lines = saved[0]!.trimEnd().split('\r\n');
    assert.deepEqual(
      [lines.length, new Set(lines.map((line) => line.split(',').length))],
      [13, new Set([3 + 18 + 9 + 3])],
    );
    assert.deepEqual(JSON.parse(saved[1]!), comparison);
    await assertNoFaults();
    await close();
  });

  it('shows how far it is, is stopped, and compares again; a failure says why', async () => {
    const run = { status: 'running', done: 3, total: 12, message: 'layers.3.q', secondsLeft: null } as const;
    const { page, host, assertNoFaults, close } = await open({ comparison: null, run });
    await page.getByText('3 of 12 layers · layers.3.q').waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    host.update({ run: { ...run, status: 'cancelled' } });
    await page.getByText('Stopped').waitFor();
    await page.getByRole('button', { name: 'Compare again' }).click();
    await waitFor(async () => asked.length === 2);
    assert.deepEqual(asked, ['cancel', 'run']);
    const error = {
      code: 'wrong-use',
      subject: 'x.bin',
      found: 'it holds no LoRA adapter',
      remedy: 'Name others',
    } as const;
    host.update({ error, run: { ...run, status: 'failed' } });
    await page.getByRole('alert').getByText('it holds no LoRA adapter').waitFor();
    host.update({ error: null, comparison, run: DONE });
    await page.getByRole('heading', { name: '3 adapters, 12 layers' }).waitFor();
    await assertNoFaults();
    await close();
  });

  for (const theme of ['dark', 'light', 'highContrast'] as const satisfies readonly ThemeName[])
    it(`has no serious fault of accessibility (axe), ${theme}`, async () => {
      for (const width of theme === 'dark' ? [1280, 640] : [1280]) {
        const { page, assertNoFaults, close } = await open({}, { theme, width });
        await page.getByRole('button', { name: comparison.layers[4]!.name, exact: true }).click();
        await page.getByRole('complementary').getByRole('heading', { level: 2 }).waitFor();
        await page.screenshot({ path: `test-output/screenshots/comparison-${theme}-${width}.png` });
        assert.deepEqual(await seriousViolations(page, theme), []);
        await assertNoFaults();
        await close();
      }
    });
});
