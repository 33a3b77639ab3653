import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { openInspector } from './inspectorHost.ts';
import { probeMap } from './mapProbe.ts';
import { type PageHarness, startHarness } from './pageHarness.ts';
import { expertSnapshot, sampleSpectrum } from './samples.ts';
import { seriousViolations } from './violations.ts';
import { waitFor } from './waitFor.ts';

const PICTURES = 'test-output/screenshots';

describe('a mixture of experts', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  before(async () => {
    mkdirSync(PICTURES, { recursive: true });
    harness = await startHarness();
  });
  /** Half of the experts of a model, as in the middle of a run: some exact, some previewed, some not known. */
  const half = () => {
    const snapshot = expertSnapshot(16, 64);
    const findings = snapshot.findings.flatMap((finding) => {
      const { expert, layer } = finding;
      if (expert === undefined || layer! < 6) return [finding];
      if (layer! >= 13) return [];
      return expert % 4 === 0 ? [{ ...finding, provenance: 'preview' as const }] : [];
    });
    return { ...snapshot, findings };
  };

  for (const [theme, width] of [
    ['light', 1280],
    ['dark', 640],
  ] as const)
    it(`has one column for each module, opened by a click (${theme}, ${width})`, async () => {
      const snapshot = half();
      const inspector = await openInspector(harness, snapshot, {
        theme,
        width,
        spectrum: async (name) => sampleSpectrum(snapshot.checkpoint!.matrices.find((one) => one.name === name)!),
      });
      const { page, asked, assertNoFaults } = inspector;
      const map = page.getByRole('application').first();
      await map.waitFor();
      const group = 'model.layers.4.mlp.experts.*.gate_proj.weight';
      const probes = await probeMap(page, 48, 40);
      const names = new Set(probes.flatMap(({ lines }) => lines[0] ?? []));
      assert.ok(names.has(group) && ![...names].some((name) => /experts[.][0-9]/.test(name)));
      const at = probes.find(({ lines }) => lines[0] === group)!;
      const box = (await page.locator('.map canvas').first().boundingBox())!;
      await page.mouse.click(box.x + at.x, box.y + at.y);
      const strip = page.locator('.expert-strip .map');
      await strip.waitFor();
      assert.equal(await page.locator('.detail h2').textContent(), group);
      await page.getByText('All 64 experts, exact').first().waitFor();
      assert.ok((await page.locator('.distribution tbody tr').count()) > 10);
      assert.deepEqual(asked.selected, [group]);
      await page.mouse.move(5, 5);
      await page.screenshot({ path: `${PICTURES}/experts-${theme}-${width}.png`, fullPage: true });
      assert.deepEqual(await seriousViolations(page, theme), []);

      await page.getByTitle('Show model.layers.4.mlp.experts.').first().click();
      await page.locator('.rank-panel').waitFor();
      await page.getByText(/^Expert [0-9]+, one of 64$/).waitFor();
      await page.screenshot({ path: `${PICTURES}/expert-${theme}-${width}.png`, fullPage: true });

      await page.getByRole('button', { name: 'Experts as columns' }).click();
      await waitFor(async () =>
        (await map.getAttribute('aria-label'))!.includes('the experts of mlp.experts.gate_proj'),
      );
      const opened = await probeMap(page, 20, 10);
      assert.ok(opened.some(({ lines }) => /experts[.][0-9]+[.]gate_proj/.test(lines[0] ?? '')));
      assert.ok(!opened.some(({ lines }) => lines[0]?.includes('self_attn')));
      await page.mouse.move(5, 5);
      await page.screenshot({ path: `${PICTURES}/expert-columns-${theme}-${width}.png` });
      await page.getByRole('combobox', { name: 'Columns' }).selectOption({ label: 'modules as columns' });
      await waitFor(async () => (await map.getAttribute('aria-label'))!.includes('modules as columns'));
      await assertNoFaults();
      await inspector.close();
    });

  it('is reached by keyboard: Enter opens a group, and arrows and Enter choose one of its experts', async () => {
    const { page, asked, assertNoFaults, close } = await openInspector(harness, half());
    const map = page.getByRole('application').first();
    await map.waitFor();
    await map.focus();
    for (const key of ['PageDown', 'End', 'ArrowLeft', 'ArrowLeft', 'ArrowLeft', 'Enter']) await map.press(key);
    const strip = page.locator('.expert-strip').getByRole('application');
    await strip.waitFor();
    const [group] = asked.selected;
    assert.match(group!, /[*]/);
    await strip.focus();
    for (const key of ['ArrowRight', 'ArrowDown', 'Enter']) await strip.press(key);
    await waitFor(() => Promise.resolve(asked.selected.length === 2));
    assert.match(asked.selected[1]!, /experts[.][0-9]+[.]/);
    await page.getByRole('button', { name: 'All experts' }).click();
    await waitFor(() => Promise.resolve(asked.selected.at(-1) === group));
    await assertNoFaults();
    await close();
  });

  it('asks for one expert of each visible cell, and for all of the selected one', async () => {
    const snapshot = half();
    const running = { ...snapshot, run: { ...snapshot.run, status: 'running' as const } };
    const { page, asked, close } = await openInspector(harness, running);
    await page.getByRole('application').first().waitFor();
    await waitFor(() => Promise.resolve(asked.visible.length > 0));
    const experts = asked.visible[0]!.filter((name) => name.includes('experts.'));
    // Three modules in each of ten layers have no exact value.
    assert.equal(experts.length, 30);
    await close();
  });

  it('is a table of groups that a filter takes apart', async () => {
    const { page, assertNoFaults, close } = await openInspector(harness, half());
    const overview = page.getByRole('region', { name: 'All matrices' });
    await overview.getByRole('checkbox', { name: 'Table' }).click();
    await page.getByText('1–100 of').waitFor();
    await page.getByRole('textbox', { name: 'Filter matrices by name' }).fill('layers.4 experts.17.');
    await waitFor(async () => (await overview.locator('tbody tr').count()) === 3);
    await page.getByRole('textbox', { name: 'Filter matrices by name' }).fill('layers.4 mlp.experts gate_proj');
    await waitFor(async () => (await overview.locator('tbody tr').count()) === 1);
    await page.screenshot({ path: `${PICTURES}/experts-table.png` });
    await overview.locator('tbody button').first().click();
    await page.locator('.expert-strip').waitFor();
    await assertNoFaults();
    await close();
  });
});
