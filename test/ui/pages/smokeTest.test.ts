import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SmokeTest } from '../../../src/model/generation.ts';
import { generationSentences } from '../../../src/model/generationText.ts';
import { PLAN_DEFAULTS } from '../../../src/model/plan/planRequest.ts';
import type { InspectorSnapshot } from '../../../src/protocol/page.ts';
import { createService } from '../../../src/service/service.ts';
import { analyzed, type InspectorUnderTest, openInspector, SAMPLE } from './inspectorHost.ts';
import { type PageHarness, startHarness } from './pageHarness.ts';
import type { ThemeName } from './themes.ts';
import { seriousViolations } from './violations.ts';

const PICTURES = 'test-output/screenshots';

/** What became of the sample at this share of its parameters. */
async function applied(value: number): Promise<Extract<SmokeTest, { readonly generation: unknown }>> {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-'));
  const service = createService({});
  try {
    const request = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value } } as const;
    const plan = await service.plan({ path: SAMPLE, request });
    const { smokeTest } = await service.apply({ path: SAMPLE, plan, out: join(folder, 'smaller.safetensors') });
    if (!smokeTest || !('generation' in smokeTest)) throw new Error(JSON.stringify(smokeTest));
    return smokeTest;
  } finally {
    await service.close();
    rmSync(folder, { recursive: true });
  }
}

describe('the inspector of a file that was written', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  let snapshot: InspectorSnapshot;
  let tried: Awaited<ReturnType<typeof applied>>;
  let inspector: InspectorUnderTest;

  before(async () => {
    mkdirSync(PICTURES, { recursive: true });
    harness = await startHarness();
    ({ snapshot } = await analyzed(SAMPLE));
    tried = await applied(0.4);
  });
  afterEach(async () => {
    await inspector.assertNoFaults();
    await inspector.close();
  });

  it('shows both texts beside each other, and says what they show', async () => {
    inspector = await openInspector(harness, { ...snapshot, smokeTest: tried });
    const section = inspector.page.getByRole('region', { name: 'Smoke test' });
    const { dense, variant } = tried.generation;
    const [first, ...others] = generationSentences(tried.generation);
    await section.getByText(`Smoke test: ${first}`).waitFor();
    for (const sentence of others) assert.equal(await section.getByText(sentence).count(), 1);
    for (const [name, { text }] of [
      ['Dense model', dense],
      ['smaller.safetensors', variant!],
    ] as const) {
      const side = section.getByRole('region', { name: `Continuation by ${name}` });
      assert.equal(await side.locator('.continuation').textContent(), text);
      assert.match(await side.innerText(), /\d+ tokens.*tokens\/s; longest repeat \d+; distinct 1-, 2-, 3-grams \d+ %/);
    }
    await inspector.page.screenshot({ path: `${PICTURES}/smoke-test.png` });
  });

  for (const theme of ['dark', 'light', 'highContrast'] as const satisfies readonly ThemeName[])
    it(`is accessible and leaves room for the heatmap also in a narrow column, ${theme}`, async () => {
      inspector = await openInspector(harness, { ...snapshot, smokeTest: tried }, { theme, width: 520, height: 900 });
      const { page } = inspector;
      await page.getByRole('region', { name: 'Smoke test' }).locator('.continuation').nth(1).waitFor();
      assert.deepEqual(await seriousViolations(page, theme), []);
      await page.screenshot({ path: `${PICTURES}/smoke-test-${theme}.png` });
      const box = await page.locator('.map canvas').first().boundingBox();
      assert.ok(box && box.y < 900, `the map begins at ${box?.y}`);
    });

  it('calls what a person asked for a continuation, also of the dense model alone', async () => {
    inspector = await openInspector(harness, { ...snapshot, smokeTest: { ...tried, isAsked: true } });
    await inspector.page.getByText(`Continuation: ${generationSentences(tried.generation)[0]}`).waitFor();
    const { dense } = tried.generation;
    const fine = { ...dense, repetition: { ...dense.repetition, repeats: false } };
    const generation = { ...tried.generation, dense: fine, variant: null, agreement: null };
    inspector.host.update({ smokeTest: { generation, isAsked: true } });
    await inspector.page.getByText('Continuation: The model continues "Once upon a time".').waitFor();
    assert.equal(await inspector.page.getByRole('region', { name: /^Continuation by/ }).count(), 1);
    await inspector.page.screenshot({ path: `${PICTURES}/continuation.png` });
  });

  it('says why the file was not tried, and nothing of other files', async () => {
    inspector = await openInspector(harness, { ...snapshot, smokeTest: { leftOut: 'it has no config.json' } });
    await inspector.page.getByText('The written file was not tried: it has no config.json').waitFor();
    inspector.host.update({ smokeTest: { failed: 'a.weight: contains NaN' } });
    await inspector.page.getByText('could not continue a prompt (a.weight: contains NaN).').waitFor();
    inspector.host.update({ smokeTest: null });
    await inspector.page.getByRole('region', { name: 'Smoke test' }).waitFor({ state: 'hidden' });
  });
});
