import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import type { InspectorSnapshot } from '../../../src/protocol/page.ts';
import { analyzed, openInspector, SAMPLE } from './inspectorHost.ts';
import { type PageHarness, startHarness } from './pageHarness.ts';
import { openPlan, planned, snapshotOf } from './planHost.ts';
import type { ThemeName } from './themes.ts';
import { seriousViolations } from './violations.ts';

describe('accessibility (axe) of', function () {
  this.timeout(240_000);
  let harness: PageHarness;
  let real: Awaited<ReturnType<typeof analyzed>>;

  before(async () => {
    mkdirSync('test-output/screenshots', { recursive: true });
    harness = await startHarness();
    real = await analyzed(SAMPLE);
  });

  for (const theme of ['dark', 'light', 'highContrast'] as const satisfies readonly ThemeName[]) {
    it(`the inspector with everything open, ${theme}`, async () => {
      const { snapshot, spectra } = real;
      const selected = snapshot.findings[3]!;
      const [skipped, preview] = [snapshot.findings[9]!, snapshot.findings[10]!];
      const busy: InspectorSnapshot = {
        ...snapshot,
        selected: selected.name,
        ranks: { [selected.name]: 3 },
        checkpoint: {
          ...snapshot.checkpoint!,
          warnings: ['two tensors have the same name'],
          security: [{ grade: 'dangerous', subject: 'posix.system', explanation: 'runs a program when it is loaded' }],
          ties: [['a', 'b']],
        },
        findings: snapshot.findings
          .filter((one) => one !== skipped)
          .map((one) => (one === preview ? { ...one, provenance: 'preview' } : one)),
        skipped: [{ name: skipped.name, reason: 'not finite' }],
        run: { ...snapshot.run, status: 'running', done: 30, secondsLeft: 12, message: selected.name },
        error: { code: 'changed', subject: 'model.safetensors', found: 'it was changed', remedy: 'Open it again' },
      };
      const { page, assertNoFaults, close } = await openInspector(harness, busy, {
        theme,
        spectrum: async (name) => spectra.get(name)!,
      });
      await page.locator('.rank-panel').waitFor();
      await page.locator('details').evaluateAll((all) => {
        for (const one of all) (one as HTMLDetailsElement).open = true;
      });
      await page.getByRole('slider', { name: 'Rank' }).fill('10000');
      await page.screenshot({ path: `test-output/screenshots/inspector-${theme}.png` });
      assert.deepEqual(await seriousViolations(page, theme), []);
      await page.getByRole('region', { name: 'All matrices' }).getByRole('checkbox', { name: 'Table' }).click();
      await page.locator('.detail').getByRole('checkbox', { name: 'Table' }).click();
      await page.locator('.map-pane tbody tr').first().waitFor();
      assert.deepEqual(await seriousViolations(page, theme), []);
      await assertNoFaults();
      await close();
    });

    it(`the plan, ${theme}`, async () => {
      const plan = await planned();
      const error = { code: 'engine', subject: 'engine', found: 'it ended', remedy: 'Run it again' } as const;
      const { page, assertNoFaults, close } = await openPlan(
        harness,
        snapshotOf(plan, { error, busy: 'Planning', canUndo: true, canWrite: theme !== 'light' }),
        { theme },
      );
      await page.locator('.matrices li').first().waitFor();
      await page.screenshot({ path: `test-output/screenshots/plan-${theme}.png` });
      assert.deepEqual(await seriousViolations(page, theme), []);
      await assertNoFaults();
      await close();
    });
  }
});
