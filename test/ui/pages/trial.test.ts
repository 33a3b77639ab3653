import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { RankscopeError } from '../../../src/base/errors.ts';
import type { Trial, TrialPictures } from '../../../src/model/trial.ts';
import type { InspectorSnapshot } from '../../../src/protocol/page.ts';
import { createService } from '../../../src/service/service.ts';
import { paintTiles } from '../../../webview/inspector/trial/paintTiles.ts';
import { analyzed, type HostOptions, type InspectorUnderTest, openInspector, SAMPLE } from './inspectorHost.ts';
import { type PageHarness, startHarness } from './pageHarness.ts';
import { seriousViolations } from './violations.ts';
import { waitFor } from './waitFor.ts';

/** Waits until the assertions of `check` hold. */
async function holds(check: () => void | Promise<void>): Promise<void> {
  const passes = async () => {
    try {
      await check();
      return true;
    } catch {
      return false;
    }
  };
  // The last failure says what does not hold.
  await waitFor(passes).catch(check);
}

describe('the trial of a matrix in the inspector', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  let service: ReturnType<typeof createService>;
  let real: Awaited<ReturnType<typeof analyzed>>;
  let inspector: InspectorUnderTest;
  const NAME = 'model.layers.2.mlp.down_proj.weight';
  const answers: { trial?: Trial; pictures?: TrialPictures } = {};

  before(async () => {
    mkdirSync('test-output/screenshots', { recursive: true });
    harness = await startHarness();
    real = await analyzed(SAMPLE);
    service = createService({});
  });
  after(() => service.close());
  afterEach(async () => {
    await inspector.assertNoFaults();
    await inspector.close();
  });

  const open = async (change: Partial<InspectorSnapshot> = {}, options: HostOptions = {}) => {
    inspector = await openInspector(
      harness,
      { ...real.snapshot, selected: NAME, ...change },
      {
        spectrum: async (name) => real.spectra.get(name)!,
        trial: async (name, choice) => {
          answers.trial = await service.trial({ path: SAMPLE, tensors: [name], values: true, ...choice, threads: 1 });
          return answers.trial;
        },
        pictures: async (request) => {
          answers.pictures = await service.trialPictures({ ...request, path: SAMPLE, threads: 1 });
          return answers.pictures;
        },
        ...options,
      },
    );
    const { page } = inspector;
    const panel = page.getByRole('region', { name: 'Trial' });
    await panel.waitFor();
    return { page, panel, start: panel.getByRole('button', { name: 'Try it' }) };
  };

  it('shows errors, predictions, pictures, the spectrum of the rest and products, and puts a rank into the plan', async () => {
    const { page, panel, start } = await open({}, { height: 1900 });
    await page.getByRole('spinbutton', { name: 'Rank, as a number' }).fill('20');
    await page.keyboard.press('Tab');
    await start.click();
    await panel.getByRole('button', { name: '20 Randomized' }).waitFor();
    assert.deepEqual(inspector.asked.trials[0]!.choice.ranks, [10, 20, 40]);
    const [matrix] = answers.trial!.matrices;
    const rows = await panel.locator('.trial-errors tbody tr').allInnerTexts();
    assert.equal(rows.length, 9);
    const cells = rows.map((row) => row.split('\t'));
    for (const [at, result] of matrix!.ranks.flatMap(({ results }) => results).entries()) {
      assert.ok(Math.abs(Number.parseFloat(cells[at]![1]!) / (100 * result.error) - 1) < 6e-3, rows[at]);
      assert.ok(Math.abs(Number.parseFloat(cells[at]![2]!) / (100 * result.predicted.error) - 1) < 6e-3, rows[at]);
    }
    await panel.getByRole('button', { name: '20 Randomized' }).click();
    const pictures = panel.locator('.trial-pictures');
    await holds(async () => {
      const { method, rank } = inspector.asked.pictures.at(-1)!;
      assert.deepEqual([method, rank], ['randomized', 20]);
      await drawn('residual');
    });
    assert.match(
      await panel.locator('.trial-verdict').innerText(),
      /^Randomized, rank 20: .* above the least possible/,
    );
    assert.equal(await panel.locator('.trial-products tbody tr').count(), 4);
    assert.match((await panel.locator('.curve.residual canvas').getAttribute('aria-label')) ?? '', /what is left/);
    assert.deepEqual(await seriousViolations(page, 'dark'), []);
    await panel.screenshot({ path: 'test-output/screenshots/inspector-trial.png' });
    await page.screenshot({ path: 'test-output/screenshots/inspector-with-trial.png' });

    // Zoomed in until every square is an entry.
    await pictures
      .locator('canvas')
      .first()
      .click({ position: { x: 5, y: 5 } });
    await holds(() => assert.deepEqual(answers.pictures!.region, { row: 0, col: 0, rows: 48, cols: 128 }));
    await pictures.focus();
    await page.keyboard.press('+');
    await holds(() => assert.equal(answers.pictures!.shows, 'entry'));
    await page.keyboard.press('ArrowRight');
    await holds(async () => {
      assert.deepEqual(answers.pictures!.region, { row: 12, col: 48, rows: 24, cols: 64 });
      for (const kind of ['original', 'approximation', 'residual'] as const) await drawn(kind);
    });
    await pictures
      .locator('canvas')
      .first()
      .hover({ position: { x: 1, y: 1 } });
    const entry = answers.pictures!.original[0]!;
    await holds(async () => {
      const text = await panel.locator('.trial-readout').innerText();
      assert.match(text, /^Row 12, column 48: original /);
      assert.ok(Math.abs(Number(text.match(/original ([−\d.e-]+)/)![1]!.replace('−', '-')) / entry - 1) < 6e-3, text);
    });
    await panel.getByRole('button', { name: 'Whole matrix' }).click();
    await holds(() => assert.equal(answers.pictures!.region.rows, 96));

    await panel.getByRole('button', { name: 'Use rank 20 in the plan' }).click();
    await holds(() => assert.deepEqual(inspector.asked.ranks, [{ name: NAME, rank: 20 }]));
    inspector.host.update({ ranks: { [NAME]: 20 } });
    await panel.getByRole('button', { name: 'Rank 20 is in the plan' }).waitFor();

    async function drawn(kind: 'original' | 'approximation' | 'residual'): Promise<void> {
      const { largest, width, height } = answers.pictures!;
      const expected = paintTiles(answers.pictures![kind], largest);
      const canvas = pictures.locator('figure', { hasText: new RegExp(kind, 'i') }).locator('canvas');
      const pixels = await canvas.evaluate((one: HTMLCanvasElement) =>
        Array.from(one.getContext('2d')!.getImageData(0, 0, one.width, one.height).data),
      );
      assert.equal(pixels.length, 4 * width * height);
      assert.deepEqual(pixels, Array.from(expected));
    }
  });

  it('takes ranks, methods and options from its fields, says what it refuses, and keeps them across a reload', async () => {
    const { page, panel, start } = await open();
    const ranks = panel.getByRole('textbox', { name: 'Ranks to try' });
    for (const wrong of ['0', '4, x', '97', '1.5']) {
      await ranks.fill(wrong);
      await ranks.press('Enter');
      await panel.getByText('Give at most 16 ranks from 1 to 96').waitFor();
      await holds(async () => assert.equal(await start.getAttribute('disabled'), ''));
    }
    await ranks.fill('8, 4 8');
    await ranks.press('Enter');
    await panel.getByRole('checkbox', { name: 'Nyström' }).click();
    await panel.getByRole('spinbutton', { name: 'Power iterations' }).fill('4');
    await page.keyboard.press('Tab');
    await start.click();
    await panel.getByRole('button', { name: '8 Randomized' }).waitFor();
    const { choice } = inspector.asked.trials[0]!;
    assert.deepEqual(choice, {
      ranks: [4, 8],
      methods: ['exact', 'randomized'],
      oversampling: 10,
      powerIterations: 4,
      seed: 1,
    });
    await page.reload();
    await panel.waitFor();
    assert.equal(await panel.getByRole('spinbutton', { name: 'Power iterations' }).inputValue(), '4');
  });

  it('shows what is being done, can be cancelled, and says why it failed', async () => {
    let fail: (error: Error) => void = () => undefined;
    const { panel, start } = await open({}, { trial: () => new Promise((_resolve, reject) => (fail = reject)) });
    await start.click();
    inspector.host.update({ trialStep: 'nystrom, rank 8' });
    await panel.getByText('Trying: nystrom, rank 8').waitFor();
    await panel.getByRole('button', { name: 'Cancel' }).click();
    await holds(() => assert.deepEqual(inspector.asked.runs, ['cancel trial']));
    fail(new RankscopeError('cancelled', NAME, 'cancelled', ''));
    await start.click();
    fail(new RankscopeError('too-large', NAME, 'needs 9 GB', 'Choose another engine'));
    await panel.getByText('needs 9 GB').waitFor();
    assert.equal(await panel.locator('.trial-errors').isVisible(), false);
  });
});
