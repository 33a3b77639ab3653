import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { type CompressionCalls, type CompressionSnapshot, IDLE } from '../../../src/protocol/page.ts';
import { blockOf, compressionOf } from './compressions.ts';
import { type OpenOptions, type PageHarness, startHarness } from './pageHarness.ts';
import type { ThemeName } from './themes.ts';
import { seriousViolations } from './violations.ts';
import { waitFor } from './waitFor.ts';

const DONE = { ...IDLE, status: 'done', done: 1, total: 1 } as const;
const NEW: CompressionSnapshot = {
  path: '/models/smollm2/model.safetensors',
  ...{ out: '', asked: '', run: IDLE, stage: 'text', estimate: null, blocks: [], layers: 0, current: null },
  ...{ report: null, error: null },
};
const ASKED = { asked: '80 % kept, fitted to wikitext2-calibration.txt', out: '/models/smollm2/smaller.safetensors' };

/** In the middle of the refinement of block 8. */
function underWay(): CompressionSnapshot {
  const { estimate } = compressionOf();
  return {
    ...NEW,
    ...ASKED,
    run: { status: 'running', done: 7.4, total: 30, message: 'Block 8: step 40 of 96', secondsLeft: 612 },
    stage: 'blocks',
    estimate,
    blocks: Array.from({ length: 7 }, (_, layer) => blockOf(layer)),
    layers: 30,
    current: { layer: 7, losses: blockOf(7).losses.slice(0, 40) },
  };
}

function finished(): CompressionSnapshot {
  const report = compressionOf();
  return { ...NEW, ...ASKED, run: DONE, report, blocks: report.blocks, layers: 30, estimate: report.estimate };
}

describe('compression page', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  let asked: string[];
  let saved: { name: string; content: string }[];
  const open = (snapshot: CompressionSnapshot, options: OpenOptions = {}) => {
    asked = [];
    saved = [];
    const note = (call: string) => async () => void asked.push(call);
    return harness.open<CompressionCalls, Partial<CompressionSnapshot>>(
      'compression',
      {
        ready: async () => snapshot,
        ...{ compress: note('compress'), again: note('again'), cancel: note('cancel'), open: note('open') },
        save: async ({ suggestedName: name, content }) => {
          saved.push({ name, content });
          return true;
        },
      },
      options,
    );
  };

  before(async () => {
    mkdirSync('test-output/screenshots', { recursive: true });
    harness = await startHarness();
  });

  it('offers to compress where nothing has been compressed yet', async () => {
    const { page, assertNoFaults, close } = await open(NEW);
    await page.getByText('Nothing has been compressed yet').waitFor();
    await page.getByRole('button', { name: 'Compress the model with a text to a size' }).click();
    await waitFor(async () => asked.includes('compress'));
    assert.equal(await page.getByRole('region', { name: 'Before and after' }).count(), 0);
    await assertNoFaults();
    await close();
  });

  it('draws the loss curves of each block while it runs, with the stage, the time left and a way to stop', async () => {
    const { page, host, assertNoFaults, close } = await open(underWay());
    const curves = page.getByRole('region', { name: 'Refinement of the blocks' });
    await curves.getByText('Block 8').waitFor();
    assert.equal(await curves.locator('li').count(), 8);
    const outcome = await curves.locator('li').first().locator('.loss-outcome').innerText();
    assert.equal(outcome, '3.0e−4 → 2.3e−4 (−22 %)');
    await page.getByText('Blocks · 24 % · Block 8: step 40 of 96 · 10 min 12 s left').first().waitFor();
    await page.getByText('Estimated before it began: 19 min 0 s').waitFor();
    // Points of the curve under way follow the steps.
    const points = () => curves.locator('li').last().locator('polyline.loss').getAttribute('points');
    const before = (await points())!.split(' ').length;
    assert.equal(before, 40);
    host.update({ current: { layer: 7, losses: blockOf(7).losses.slice(0, 60) } });
    await waitFor(async () => (await points())!.split(' ').length === 60);
    host.update({ current: null, blocks: [...underWay().blocks, blockOf(7)] });
    await waitFor(async () => (await page.getByRole('table', { name: 'Blocks' }).locator('tbody tr').count()) === 8);
    await page.getByRole('button', { name: 'Stop; what is finished is kept' }).click();
    await waitFor(async () => asked.includes('cancel'));
    const run = { ...underWay().run, status: 'cancelled', message: '', secondsLeft: null } as const;
    host.update({ run });
    await page.getByText('8 blocks are finished and kept').first().waitFor();
    await page.getByRole('button', { name: 'Go on' }).click();
    await waitFor(async () => asked.includes('again'));
    await assertNoFaults();
    await close();
  });

  it('shows the network before and after, what became of each block, and the continuations side by side', async () => {
    const { page, assertNoFaults, close } = await open(finished());
    const outcome = page.locator('.outcome');
    await outcome.getByText('24.49 → 34.08').waitFor();
    const text = await outcome.innerText();
    for (const said of ['24.49 → 34.08', '80 %', '84.2 %', '269 MB → 227 MB', '16,384 tokens in 32 windows of 512'])
      assert.ok(text.includes(said), `${said} is not in ${text}`);
    const rows = outcome.getByRole('table', { name: 'Before and after' }).locator('tbody tr');
    assert.match(await rows.nth(0).innerText(), /^Unseen.*24\.49\s+34\.08/s);
    assert.match(await rows.nth(1).innerText(), /^Calibration.*21\.63\s+27\.9/s);
    assert.equal(await page.getByRole('table', { name: 'Blocks' }).locator('tbody tr').count(), 30);
    const fifth = page.getByRole('region', { name: 'Refinement of the blocks' }).locator('li').nth(4);
    assert.match(await fifth.innerText(), /a gradient is NaN or infinite/);
    await page.getByRole('list', { name: 'Notes' }).getByText('Block 5 stays as truncated').waitFor();
    await page.getByRole('region', { name: 'Continuation by smaller.safetensors' }).getByText('two dogs').waitFor();
    await page.getByRole('button', { name: 'Save the report as JSON' }).click();
    await waitFor(async () => saved.length === 1);
    assert.equal(saved[0]!.name, 'smaller.compression.json');
    assert.deepEqual(JSON.parse(saved[0]!.content), compressionOf());
    await page.getByRole('button', { name: 'Open the result' }).click();
    await waitFor(async () => asked.includes('open'));
    await assertNoFaults();
    await close();
  });

  it('says why it failed, and offers to try again', async () => {
    const error = {
      ...{ code: 'write-failed' as const, subject: '/models/smaller.safetensors', found: 'the disk is full' },
      remedy: 'Free space or choose another disk',
    };
    const { page, assertNoFaults, close } = await open({
      ...underWay(),
      ...{ error, current: null, run: { ...underWay().run, status: 'failed', secondsLeft: null } },
    });
    await page.getByText('the disk is full').waitFor();
    await page.getByRole('button', { name: 'Try again' }).click();
    await waitFor(async () => asked.includes('again'));
    await assertNoFaults();
    await close();
  });

  for (const theme of ['dark', 'light', 'highContrast'] as ThemeName[])
    it(`has no accessibility violations, ${theme}`, async () => {
      for (const snapshot of theme === 'dark' ? [underWay(), finished()] : [finished()]) {
        const { page, close } = await open(snapshot, { theme });
        await page.getByRole('region', { name: 'Refinement of the blocks' }).waitFor();
        assert.deepEqual(await seriousViolations(page, theme), []);
        await close();
      }
    });

  for (const [theme, width] of [
    ['dark', 640],
    ['light', 1280],
  ] as const)
    it(`fits into ${width} pixels, ${theme}`, async () => {
      for (const [name, snapshot] of [
        ['running', underWay()],
        ['done', finished()],
      ] as const) {
        const { page, assertNoFaults, close } = await open(snapshot, { theme, width, height: 1400 });
        await page.getByRole('region', { name: 'Refinement of the blocks' }).waitFor();
        const wide = await page.evaluate('document.documentElement.scrollWidth - window.innerWidth');
        assert.ok(Number(wide) <= 0, `${wide} pixels too wide`);
        await page.screenshot({ path: `test-output/screenshots/compression-${name}-${theme}-${width}.png` });
        await assertNoFaults();
        await close();
      }
    });
});
