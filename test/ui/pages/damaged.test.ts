import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { checkpointPath } from '../../unit/formats/checkpointFiles.ts';
import { analyzed, openInspector } from './inspectorHost.ts';
import { type PageHarness, startHarness } from './pageHarness.ts';

const PICTURES = 'test-output/screenshots';
const MATRIX = 'layers.0.attention.wk.weight';

describe('a damaged checkpoint beside the sound one', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  before(async () => {
    mkdirSync(PICTURES, { recursive: true });
    harness = await startHarness();
  });

  /** What the inspector says of one matrix of `file`; the picture of it is kept. */
  async function seen(file: string, picture: string): Promise<{ effective: number; stable: number; first: number }> {
    const { snapshot, spectra } = await analyzed(file);
    const inspector = await openInspector(
      harness,
      { ...snapshot, selected: MATRIX },
      { spectrum: async (name) => spectra.get(name)! },
    );
    const { page } = inspector;
    await page.locator('.detail h2', { hasText: MATRIX }).waitFor();
    await page.locator('.rank-panel').waitFor();
    assert.equal(await page.locator('.detail h2').textContent(), MATRIX);
    await page.screenshot({ path: `${PICTURES}/${picture}.png` });
    const measure = async (name: string) => {
      const row = await page.locator('.measure', { has: page.getByText(name, { exact: true }) }).innerText();
      return Number(/[\d.]+/.exec(row.slice(name.length))?.[0]);
    };
    const read = { effective: await measure('Effective rank'), stable: await measure('Stable rank') };
    await page.locator('.detail').getByText('Table', { exact: true }).click();
    const cells = page.locator('.detail tbody tr').first().locator('td, th');
    const first = Number((await cells.nth(1).innerText()).replaceAll(',', ''));
    await inspector.assertNoFaults();
    await inspector.close();
    return { ...read, first };
  }

  it('is told from it by its spectra: scrambled weights look random, trained ones do not', async function () {
    const files = ['stories260K', 'stories260K.repaired'].map((name) =>
      checkpointPath(this, `llama2c-stories260K/${name}.bin`),
    );
    const scrambled = await seen(files[0]!, 'inspector-scrambled');
    const repaired = await seen(files[1]!, 'inspector-repaired');
    // Of 32: noise of this shape has an effective rank of 27; a few directions carry what was learned.
    assert.ok(scrambled.effective > 0.8 * 32, `${scrambled.effective}`);
    assert.ok(repaired.effective < 0.65 * 32, `${repaired.effective}`);
    assert.ok(scrambled.stable > 3 * repaired.stable, `${scrambled.stable} and ${repaired.stable}`);
    assert.ok(repaired.first > 1.5 * scrambled.first, `${repaired.first} and ${scrambled.first}`);
  });
});
