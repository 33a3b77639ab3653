import assert from 'node:assert/strict';
import { checkpointPath } from '../../unit/formats/checkpointFiles.ts';
import { analyzed, openInspector } from './inspectorHost.ts';
import { type PageHarness, startHarness } from './pageHarness.ts';

describe('the inspector on real files that are no plain model', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  before(async () => {
    harness = await startHarness();
  });

  const open = async (file: string, selected: string) => {
    const { snapshot, spectra } = await analyzed(file);
    const options = { width: 1200, height: 900, spectrum: async (name: string) => spectra.get(name) ?? [] };
    const opened = await openInspector(harness, { ...snapshot, selected }, options);
    await opened.page.locator('.spectrum canvas').waitFor();
    return opened;
  };

  it("tells of an adapter's update how much of its rank is in use, and offers no rank to choose", async function () {
    const file = checkpointPath(this, 'lora-gpt2-tigrinya');
    const { page, assertNoFaults, close } = await open(file, 'transformer.h.3.attn.c_attn');
    try {
      assert.match(
        await page.locator('.adapter').innerText(),
        /^Adapter of rank 8, scale 4 · \d+ % of its rank in use/,
      );
      assert.equal(await page.locator('.rank-panel').isVisible(), false);
      assert.equal(await page.locator('.measure', { hasText: 'Quantization edge' }).isVisible(), false);
      await page.screenshot({ path: 'test-output/screenshots/page-adapter.png' });
      await assertNoFaults();
    } finally {
      await close();
    }
  });

  it('draws the quantization edge of a quantized matrix and explains it among its measures', async function () {
    const file = checkpointPath(this, 'kquants-gguf/real-matrices-all-quants.gguf');
    const { page, assertNoFaults, close } = await open(file, 'dtln.lstm_2.kernel.Q2_K');
    try {
      assert.equal(await page.locator('.adapter').isVisible(), false);
      await page.screenshot({ path: 'test-output/screenshots/page-quantized.png' });
      const edge = page.locator('.measure', { hasText: 'Quantization edge' });
      assert.match(await edge.innerText(), /3\.6/);
      await edge.focus();
      assert.match(await page.locator('.meaning').innerText(), /rounding/);
      await assertNoFaults();
    } finally {
      await close();
    }
  });
});
