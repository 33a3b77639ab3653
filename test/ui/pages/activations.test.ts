import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ActivationFinding, MatrixFinding } from '../../../src/model/findings.ts';
import type { InspectorSnapshot } from '../../../src/protocol/page.ts';
import type { Spectrum } from '../../../src/protocol/service.ts';
import { createService } from '../../../src/service/service.ts';
import { openInspector, SAMPLE } from './inspectorHost.ts';
import { type PageHarness, startHarness } from './pageHarness.ts';
import type { ThemeName } from './themes.ts';
import { seriousViolations } from './violations.ts';
import { waitFor } from './waitFor.ts';

type Seen = MatrixFinding & { readonly activations: ActivationFinding };

/** The sample, with statistics that were collected on six stories by the real service. */
async function seenSample(): Promise<{ snapshot: InspectorSnapshot; spectra: ReadonlyMap<string, Spectrum> }> {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-activations-'));
  const service = createService({});
  try {
    const activations = join(folder, 'sample.activations.safetensors');
    await service.calibrate({ path: SAMPLE, text: 'test/fixtures/texts/stories.txt', context: 64, out: activations });
    const checkpoint = await service.open({ path: SAMPLE });
    const analysis = await service.analyze({ path: SAMPLE, activations, values: true });
    const spectra = analysis.matrices.map((finding): [string, Spectrum] => {
      const { name, singularValues = [], activations: seen = null } = finding;
      return [name, { name, singularValues, activations: seen }];
    });
    const total = analysis.matrices.length;
    return {
      spectra: new Map(spectra),
      snapshot: {
        checkpoint,
        error: null,
        engine: analysis.engine,
        statistics: { path: activations, summary: analysis.activations!, remarks: [] },
        findings: analysis.matrices.map(({ singularValues: _, ...finding }) => finding),
        skipped: [],
        run: { status: 'done', done: total, total, message: '', secondsLeft: null },
        smokeTest: null,
        ranks: {},
        selected: null,
      },
    };
  } finally {
    await service.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('the inspector with the activations of a text', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  let real: Awaited<ReturnType<typeof seenSample>>;
  let finding: Seen;
  const open = (change: Partial<InspectorSnapshot> = {}, options: { theme?: ThemeName; width?: number } = {}) =>
    openInspector(
      harness,
      { ...real.snapshot, ...change },
      { spectrum: async (name) => real.spectra.get(name)!, ...options },
    );
  const measures = { exact: true, name: 'Measure' };

  before(async () => {
    mkdirSync('test-output/screenshots', { recursive: true });
    harness = await startHarness();
    real = await seenSample();
    finding = real.snapshot.findings.find((one): one is Seen => one.activations !== undefined && one.layer === 2)!;
  });

  it('names the statistics in use with their tokens, and warns of too few', async () => {
    const { page, host, assertNoFaults, close } = await open();
    const note = page.getByRole('region', { name: 'Activations' });
    await note.getByText('sample.activations.safetensors: stories.txt, 832 tokens').waitFor();
    assert.equal(await note.locator('.notice').count(), 0, '832 tokens are enough for 256 columns');
    const { activations: seen, shape } = finding;
    const short = { ...finding, activations: { ...seen, tokens: shape[1] - 1, shrinkage: 0.01 } };
    const remarks = ['No token of the text reached 3 matrices'];
    host.update({ findings: [short], statistics: { ...real.snapshot.statistics!, remarks } });
    await note.getByText(`One matrix has seen fewer tokens than columns`).waitFor();
    await note.getByText(finding.name).waitFor();
    await note.getByText('No token of the text reached 3 matrices').waitFor();
    host.update({ statistics: null });
    await waitFor(async () => !(await note.isVisible()));
    await assertNoFaults();
    await close();
  });

  it('shows the ranks of W X and where they part from those of W, in cells, their hovers and the table', async () => {
    const { page, assertNoFaults, close } = await open({ selected: finding.name });
    const measure = page.getByRole('combobox', measures);
    const table = page.getByRole('region', { name: 'All matrices' }).getByRole('checkbox', { name: 'Table' });
    await table.click();
    const row = page.locator('.map-pane tbody tr', {
      has: page.getByRole('button', { name: finding.name, exact: true }),
    });
    /** Waits until the measure's column shows `value`: the table is redrawn once a second. */
    const shows = async (id: string, value: number) => {
      await measure.selectOption(id);
      await waitFor(async () => (await row.locator('td').nth(1).innerText()) === String(value));
    };
    await page.getByRole('combobox', { name: 'Ranks relative to' }).selectOption('absolute');
    const [own, seen] = [finding.energyRanks['0.95'], finding.activations.energyRanks['0.95']];
    assert.notEqual(own, seen, 'the two part in this matrix');
    await shows('energyRank0.95', own);
    await shows('energyRank0.95.activations', seen);
    await shows('energyRank0.95.difference', own - seen);
    await page.getByRole('columnheader', { name: '95 % energy of W X' }).waitFor();
    await table.click();
    const map = page.getByRole('application').first();
    await map.focus();
    await map.press('ArrowLeft');
    await map.press('ArrowRight');
    await map.locator('.tip').getByText(`95 % of the energy: rank ${own} of W, rank ${seen} of W X`).waitFor();
    await page.screenshot({ path: 'test-output/screenshots/activations-difference.png' });
    await assertNoFaults();
    await close();
  });

  it('draws the spectrum of W X beside that of W, with its energy and the error of a rank on the text', async () => {
    const { page, assertNoFaults, close } = await open({ selected: finding.name });
    await page.getByRole('img', { name: 'Singular values of W and of W X by rank' }).waitFor();
    const aside = page.getByRole('complementary', { name: 'Selected matrix' });
    await aside.getByText('As the activations see it (W X)').waitFor();
    const values = finding.activations.singularValues!;
    const squares = values.map((value) => value * value);
    const total = squares.reduce((sum, value) => sum + value, 0);
    const tail = squares.slice(10).reduce((sum, value) => sum + value, 0);
    await aside.getByRole('spinbutton', { name: 'Rank, as a number' }).fill('10');
    await aside.getByRole('spinbutton', { name: 'Rank, as a number' }).press('Tab');
    const said = await aside.locator('.outcome div', { hasText: 'Error on the text' }).locator('dd').innerText();
    const expected = 100 * Math.sqrt(tail / total);
    assert.ok(Math.abs(Number.parseFloat(said) - expected) < 0.006 * expected, `${said} for ${expected} %`);
    await page.screenshot({ path: 'test-output/screenshots/activations-detail.png' });
    await aside.getByRole('checkbox', { name: 'Table' }).click();
    const cells = await aside.locator('.table-root tbody tr').first().locator('td').allInnerTexts();
    assert.equal(Number(cells[4]!.replaceAll(',', '')), Number(values[0]!.toPrecision(3)));
    await assertNoFaults();
    await close();
  });

  it('exports the measures of W X, and the JSON that the command line prints', async () => {
    const { page, asked, assertNoFaults, close } = await open();
    await page.getByRole('button', { name: 'Save the numbers as CSV' }).click();
    await page.getByRole('button', { name: 'Save the numbers as JSON' }).click();
    await waitFor(() => asked.saved.length === 2);
    const [head, ...lines] = asked.saved[0]!.content.trimEnd()
      .split('\r\n')
      .map((line) => line.split(','));
    const row = lines.find(([name]) => name === finding.name)!;
    const cell = (name: string) => Number(row[head!.indexOf(name)]);
    assert.equal(cell('energyRank0.95.activations'), finding.activations.energyRanks['0.95']);
    assert.equal(cell('tokens.activations'), finding.activations.tokens);
    const analysis = JSON.parse(asked.saved[1]!.content);
    assert.deepEqual(analysis.activations, real.snapshot.statistics!.summary);
    assert.deepEqual(
      analysis.matrices.find((one: { name: string }) => one.name === finding.name).activations,
      finding.activations,
    );
    await assertNoFaults();
    await close();
  });

  it('offers measures of W X only with statistics, and asks the host for them', async () => {
    const { page, host, asked, assertNoFaults, close } = await open();
    const groups = page.getByRole('combobox', measures).locator('optgroup');
    await waitFor(async () => (await groups.count()) === 3);
    await page.getByRole('button', { name: 'Use or collect statistics of the activations on a text' }).click();
    await waitFor(() => asked.runs.length === 1);
    assert.deepEqual(asked.runs, ['activations']);
    host.update({ statistics: null });
    await waitFor(async () => (await groups.count()) === 0);
    await assertNoFaults();
    await close();
  });

  for (const theme of ['dark', 'light', 'highContrast'] as const satisfies readonly ThemeName[])
    it(`has no serious fault of accessibility (axe), ${theme}`, async () => {
      const { page, assertNoFaults, close } = await open({ selected: finding.name }, { theme });
      await page.getByRole('combobox', measures).selectOption('energyRank0.95.activations');
      await page.locator('.rank-panel').waitFor();
      await page.screenshot({ path: `test-output/screenshots/activations-${theme}.png` });
      assert.deepEqual(await seriousViolations(page, theme), []);
      await assertNoFaults();
      await close();
    });
});
