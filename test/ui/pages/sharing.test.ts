import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SHARING_DEFAULTS, type SharingReport } from '../../../src/model/sharing/sharing.ts';
import { IDLE, type SharingCalls, type SharingSnapshot } from '../../../src/protocol/page.ts';
import { createService } from '../../../src/service/service.ts';
import { noise, type TestMatrix, writeMatrices } from '../../unit/service/matrices.ts';
import { type OpenOptions, type PageHarness, startHarness } from './pageHarness.ts';
import { seriousViolations } from './violations.ts';
import { waitFor } from './waitFor.ts';

const LAYERS = 8;

/** Layers that read more and more of what their neighbours do not, and a head that equals the embedding. */
async function found(): Promise<SharingReport> {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-sharing-'));
  const service = createService({});
  const basis = noise(4, 32, 9).values;
  const layer = (index: number, place: number): TestMatrix => {
    const left = noise(32, 4, 10 * index + place).values;
    const own = noise(32, 32, 10 * index + place + 500).values;
    const values = own.map((value, at) => {
      let sum = (0.1 + 0.1 * index) * value;
      for (let k = 0; k < 4; k++) sum += left[4 * Math.floor(at / 32) + k]! * basis[32 * k + (at % 32)]!;
      return sum;
    });
    return { rows: 32, cols: 32, values };
  };
  try {
    const words = noise(100, 32, 1);
    const matrices = Object.fromEntries(
      Array.from({ length: LAYERS }, (_, index) =>
        ['q_proj', 'k_proj', 'v_proj', 'o_proj'].map(
          (module, place) => [`model.layers.${index}.self_attn.${module}.weight`, layer(index, place)] as const,
        ),
      ).flat(),
    );
    const path = writeMatrices(join(folder, 'model.safetensors'), {
      'model.embed_tokens.weight': words,
      'lm_head.weight': words,
      ...matrices,
    });
    return await service.sharing({ path, ...SHARING_DEFAULTS, keep: 0.5, layers: 2, threads: 1 });
  } finally {
    await service.close();
    rmSync(folder, { recursive: true });
  }
}

describe('sharing page', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  let report: SharingReport;
  let asked: string[];
  const open = (options: OpenOptions = {}, change: Partial<SharingSnapshot> = {}) => {
    asked = [];
    const settings = { keep: 0.5, layers: 2, activations: null, text: null };
    const snapshot: SharingSnapshot = {
      path: 'model.safetensors',
      settings,
      report,
      run: IDLE,
      error: null,
      ...change,
    };
    return harness.open<SharingCalls, Partial<SharingSnapshot>>(
      'sharing',
      {
        ready: async () => snapshot,
        change: async ({ keep, layers }) => void asked.push(`change ${keep} ${layers}`),
        chooseActivations: async () => void asked.push('activations'),
        dropActivations: async () => void asked.push('alone'),
        chooseText: async () => void asked.push('text'),
        run: async () => void asked.push('run'),
        cancel: async () => void asked.push('cancel'),
        plan: async () => void asked.push('plan'),
        reveal: async ({ name }) => void asked.push(`reveal ${name}`),
        save: async ({ content }) => {
          asked.push(`save ${content.length}`);
          return true;
        },
      },
      options,
    );
  };
  before(async () => {
    mkdirSync('test-output/screenshots', { recursive: true });
    harness = await startHarness();
    report = await found();
  });

  it('shows shared factors beside independent ones, the angles of two layers, and equal tensors', async () => {
    const { page, assertNoFaults, close } = await open();
    await page.getByText('tying them saves 3,200 parameters').waitFor();
    const groups = page.getByRole('table', { name: 'Groups that share a factor' });
    assert.equal(await groups.locator('tbody tr').count(), report.bases.groups.length);
    await page.getByRole('combobox', { name: 'First layer' }).selectOption('2');
    await page.getByRole('combobox', { name: 'Second layer' }).selectOption('5');
    const angles = report.angles[0]!;
    const { cosines } = angles.pairs.find(({ first, second }) => first === 2 && second === 5)!;
    const shown = await page.getByRole('list', { name: 'Principal angles' }).locator('li').allInnerTexts();
    assert.deepEqual(
      shown,
      cosines.map((cosine) => `${((Math.acos(cosine) * 180) / Math.PI).toFixed(1)}°`),
    );
    await page.getByRole('button', { name: 'Use in the rank plan' }).click();
    await page.getByRole('spinbutton', { name: 'Layers that may share' }).fill('3');
    await page.getByRole('button', { name: 'Find', exact: true }).click();
    await waitFor(async () => asked.length === 3);
    assert.deepEqual(asked, ['plan', 'change 0.5 3', 'run']);
    await page.screenshot({ path: 'test-output/screenshots/sharing.png', fullPage: true });
    const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
    assert.ok((overflow as number) <= 0, `${overflow} pixels are cut off`);
    await assertNoFaults();
    await close();
  });

  it('says whose errors it shows, and goes back to those of W alone', async () => {
    const inputs = { kind: 'full', text: 'wiki.txt', tokens: 768 } as const;
    const settings = { keep: 0.5, layers: 2, activations: 'own.activations.safetensors', text: null };
    const onInputs = { ...report, bases: { ...report.bases, inputs } };
    const { page, assertNoFaults, close } = await open({ theme: 'light' }, { settings, report: onInputs });
    await page.getByText('Errors are those of W X, over wiki.txt, 768 tokens.').waitFor();
    await page.getByText('Errors of W X, with own.activations.safetensors').waitFor();
    await page.getByRole('button', { name: 'Use activations…' }).click();
    await page.getByRole('button', { name: 'Use W alone' }).click();
    await waitFor(async () => asked.length === 2);
    assert.deepEqual(asked, ['activations', 'alone']);
    await page.screenshot({ path: 'test-output/screenshots/sharingOnInputs.png', fullPage: true });
    const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
    assert.ok((overflow as number) <= 0, `${overflow} pixels are cut off`);
    await assertNoFaults();
    await close();
  });

  it('has no serious fault of accessibility (axe), in high contrast', async () => {
    const { page, assertNoFaults, close } = await open({ theme: 'highContrast' });
    await page.getByText('tying them saves').waitFor();
    assert.deepEqual(await seriousViolations(page), []);
    await assertNoFaults();
    await close();
  });
});
