import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import type { Locator } from 'playwright-core';
import { RankscopeError } from '../../../src/base/errors.ts';
import type { InspectorSnapshot } from '../../../src/protocol/page.ts';
import { COLOR_SCALE } from '../../../webview/ui/colorScale.ts';
import { analyzed, type InspectorUnderTest, openInspector, SAMPLE } from './inspectorHost.ts';
import { pointIn, probeCell, probeMap } from './mapProbe.ts';
import { type PageHarness, startHarness } from './pageHarness.ts';
import { waitFor } from './waitFor.ts';

const PICTURES = 'test-output/screenshots';

describe('inspector page', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  let snapshot: InspectorSnapshot;
  let spectra: ReadonlyMap<string, readonly number[]>;
  let inspector: InspectorUnderTest;
  const spectrum = async (name: string) => spectra.get(name)!;
  const open = async (change: Partial<InspectorSnapshot> = {}) => {
    inspector = await openInspector(harness, { ...snapshot, ...change }, { spectrum });
    await inspector.page.locator('.map canvas').first().waitFor();
    return inspector.page;
  };
  const inLayers = () => snapshot.findings.filter(({ layer }) => layer !== null);
  /** A matrix in the middle of the heatmap whose break-even rank leaves room on both sides. */
  const chosen = () =>
    inLayers().find(({ shape, breakEvenRank }) => breakEvenRank > 8 && breakEvenRank + 4 < Math.min(...shape))!;

  before(async () => {
    mkdirSync(PICTURES, { recursive: true });
    harness = await startHarness();
    ({ snapshot, spectra } = await analyzed(SAMPLE));
  });
  afterEach(async () => {
    await inspector.assertNoFaults();
    await inspector.close();
  });

  it('says what the file is and what was left out', async () => {
    const page = await open();
    const { checkpoint } = snapshot;
    assert.equal(await page.locator('h1').textContent(), 'model.safetensors');
    const facts = await page.locator('dl.facts').innerText();
    assert.match(facts, new RegExp(`Layers\\s+${checkpoint!.layers}\\b`));
    assert.match(facts, new RegExp(`Tensors\\s+${checkpoint!.tensors.length}\\b`));
    await page.getByText(/\d+ skipped/).click();
    const first = checkpoint!.skipped[0]!;
    await page.getByText(first.name, { exact: true }).waitFor();
    await page.screenshot({ path: `${PICTURES}/inspector-page.png` });
  });

  it('draws every cell in the colour of its value', async () => {
    const page = await open();
    const values = new Map(snapshot.findings.map((one) => [one.name, one.effectiveRank / Math.min(...one.shape)]));
    const [low, high] = [Math.min(...values.values()), Math.max(...values.values())];
    const seen = new Map<string, boolean>();
    for (const { lines, colors } of await probeMap(page, 40, 40)) {
      const value = values.get(lines[0] ?? '');
      if (value === undefined) continue;
      const step = Math.round(((value - low) / (high - low)) * 255) * 3;
      const expected = [...COLOR_SCALE.subarray(step, step + 3), 255].join(',');
      seen.set(lines[0]!, (seen.get(lines[0]!) ?? true) && colors.includes(expected));
    }
    assert.deepEqual(
      [...seen.keys()].sort(),
      inLayers()
        .map(({ name }) => name)
        .sort(),
      'every matrix can be pointed at',
    );
    assert.deepEqual(
      [...seen].filter(([, right]) => !right),
      [],
    );
  });

  it('puts layer 0 on top and follows the data from left to right', async () => {
    const page = await open();
    const named = (await probeMap(page, 60, 60)).filter(({ lines }) => lines.length > 0);
    const firstRow = named.filter(({ y }) => y === named[0]!.y).map(({ lines }) => lines[0]!);
    assert.ok(
      firstRow.every((name) => /\b0\b/.test(name)),
      firstRow.join(),
    );
    assert.match(firstRow[0]!, /q_proj/);
    assert.match(firstRow.at(-1)!, /down_proj/);
  });

  it('opens a matrix on a click, with its measures', async () => {
    const page = await open();
    const { name, numericalRank } = chosen();
    const { x, y } = await pointIn(page, name);
    await page.mouse.click(x, y);
    await page.locator('.detail h2', { hasText: name }).waitFor();
    await page.locator('.rank-panel').waitFor();
    assert.equal(await page.locator('.detail h2').textContent(), name);
    assert.deepEqual(inspector.asked.selected, [name], 'what stands beside it is told');
    const row = page.locator('.measure', { hasText: 'Numerical rank' });
    assert.match(await row.innerText(), new RegExp(`\\b${numericalRank}\\b`));
    await row.focus();
    await page.getByRole('tooltip', { name: '' }).filter({ hasText: 'rounding error' }).waitFor();
    await page.screenshot({ path: `${PICTURES}/inspector-detail.png` });
  });

  it('computes the outcome of every rank on the slider as the spectrum has it', async () => {
    const { name, shape } = chosen();
    const [m, n] = shape;
    const page = await open({ selected: name });
    const slider = page.getByRole('slider', { name: 'Rank' });
    await slider.waitFor();
    const squares = spectra.get(name)!.map((value) => value * value);
    const total = squares.reduce((sum, value) => sum + value, 0);
    for (const rank of [1, 5, Math.floor((m * n) / (m + n)), squares.length]) {
      await slider.fill(String(rank));
      const kept = squares.slice(0, rank).reduce((sum, value) => sum + value, 0) / total;
      const outcome = await outcomeOf(page.locator('dl.outcome'));
      near(outcome['Energy kept']!, kept * 100);
      near(outcome.Error!, Math.sqrt(Math.max(0, 1 - kept)) * 100, 2e-3);
      near(outcome.Ratio!, (rank * (m + n) * 100) / (m * n));
      const pays = rank * (m + n) < m * n;
      const verdict = page.locator('.verdict');
      assert.match(await verdict.innerText(), pays ? /^Saves \d/ : /^Saves nothing/);
      assert.equal(await verdict.evaluate((one) => one.classList.contains('bad')), !pays);
    }
  });

  it('moves the slider by keys and by number, and hands the rank over', async () => {
    const { name } = chosen();
    const page = await open({ selected: name });
    const slider = page.getByRole('slider', { name: 'Rank' });
    await slider.fill('5');
    await slider.press('ArrowRight');
    await slider.press('ArrowRight');
    assert.equal(await slider.inputValue(), '7');
    const field = page.getByRole('spinbutton', { name: /Rank/ });
    assert.equal(await field.inputValue(), '7');
    await field.fill('6');
    await field.press('Enter');
    assert.equal(await slider.inputValue(), '6');
    assert.match((await slider.getAttribute('aria-valuetext')) ?? '', /rank 6, Saves/);
    await page.getByRole('button', { name: 'Use this rank' }).click();
    await waitFor(() => inspector.asked.ranks.length === 1);
    assert.deepEqual(inspector.asked.ranks, [{ name, rank: 6 }]);
    inspector.host.update({ ranks: { [name]: 6 } });
    await page.getByRole('button', { name: 'In the plan' }).waitFor();
    await page.getByRole('button', { name: 'Clear rank 6' }).click();
    await waitFor(() => inspector.asked.ranks.length === 2);
    assert.deepEqual(inspector.asked.ranks[1], { name, rank: 'clear' });
  });

  it('is walked through by keyboard alone', async () => {
    const page = await open();
    const map = page.getByRole('application', { name: /Heatmap/ });
    await page.getByRole('button', { name: 'Save the numbers as JSON' }).focus();
    await page.keyboard.press('Tab');
    assert.ok(await map.evaluate((one) => one === document.activeElement), 'Tab reaches the heatmap');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowRight');
    const spoken = (await map.locator('[aria-live]').textContent()) ?? '';
    assert.match(spoken, /layers\.1\.self_attn\.k_proj.*Effective rank.*exact/);
    await page.keyboard.press('Enter');
    await page.locator('.detail h2', { hasText: 'layers.1.self_attn.k_proj' }).waitFor();
    await page.keyboard.press('End');
    await page.keyboard.press('Enter');
    await page.locator('.detail h2', { hasText: 'layers.1.mlp.down_proj' }).waitFor();
    await page.getByRole('button', { name: 'Next matrix' }).press('Enter');
    await page.locator('.detail h2', { hasText: 'layers.2.self_attn.q_proj' }).waitFor();
  });

  it('keeps what was chosen over a reload', async () => {
    const { name } = chosen();
    const page = await open({ selected: name });
    await page.getByRole('slider', { name: 'Rank' }).fill('4');
    await page.getByRole('combobox', { name: 'Measure' }).selectOption('stableRank');
    await page.getByRole('application', { name: /Heatmap/ }).press('+');
    await page.waitForTimeout(500);
    const before = await probeMap(page, 12, 12);
    await page.reload();
    await page.locator('.detail h2', { hasText: name }).waitFor();
    await page.locator('.rank-panel').waitFor();
    assert.equal(await page.locator('.detail h2').textContent(), name);
    assert.equal(await page.getByRole('slider', { name: 'Rank' }).inputValue(), '4');
    assert.equal(await page.getByRole('combobox', { name: 'Measure' }).inputValue(), 'stableRank');
    assert.deepEqual(await probeMap(page, 12, 12), before, 'the same cells are in sight');
  });

  it('fills while results come: pending, previewed and hatched, then exact', async () => {
    const target = chosen();
    const rest = snapshot.findings.filter(({ name }) => name !== target.name);
    const running = { ...snapshot.run, status: 'running' as const, done: rest.length };
    const page = await open({ findings: rest, run: running });
    const cell = () => probeCell(page, target.name);
    assert.match((await cell())[0]!.lines.join(), /Not analyzed yet/);
    const flat = Math.min(...(await cell()).map(({ colors }) => colors.length));
    assert.equal(flat, 1, 'a pending cell is one colour');
    const { effectiveRank, stableRank, effectiveRankEnergy, energyRanks } = target;
    const around = (value: number) => [value * 0.98, value * 1.02] as const;
    inspector.host.update({
      findings: [
        {
          ...target,
          provenance: 'preview',
          band: {
            effectiveRank: around(effectiveRank),
            stableRank: around(stableRank),
            effectiveRankEnergy: around(effectiveRankEnergy),
            energyRanks: {
              '0.9': around(energyRanks['0.9']),
              '0.95': around(energyRanks['0.95']),
              '0.99': around(energyRanks['0.99']),
              '0.999': around(energyRanks['0.999']),
            },
          },
        },
      ],
    });
    await waitFor(async () => /preview, between/.test((await cell())[0]!.lines.join()));
    const hatched = Math.min(...(await cell()).map(({ colors }) => colors.length));
    assert.ok(hatched > 2, 'a previewed cell is hatched');
    inspector.host.update({ findings: [target], run: { ...running, status: 'done', done: snapshot.run.total } });
    await waitFor(async () => /exact/.test((await cell())[0]!.lines.join()));
    assert.equal(
      Math.min(...(await cell()).map(({ colors }) => colors.length)),
      1,
      'an exact cell is one colour again',
    );
    await page.getByText(/^Done/).first().waitFor();
  });

  it('tells the host what is on the screen, the selected matrix first', async () => {
    const { name } = chosen();
    await open({ findings: [], selected: name, run: { ...snapshot.run, status: 'running', done: 0 } });
    await waitFor(() => inspector.asked.visible.length > 0);
    const names = inspector.asked.visible[0]!;
    assert.equal(names[0], name);
    assert.deepEqual([...new Set(names)].sort(), snapshot.findings.map((one) => one.name).sort());
  });

  it('starts, stops and resumes', async () => {
    const page = await open({ findings: [], run: { ...snapshot.run, status: 'idle', done: 0 } });
    await page.getByRole('button', { name: 'Analyze' }).click();
    await waitFor(() => inspector.asked.runs.length === 1);
    inspector.host.update({ run: { ...snapshot.run, status: 'running', done: 2, secondsLeft: 40 } });
    await page.locator('.progress-text', { hasText: '40 s left' }).waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    inspector.host.update({ run: { ...snapshot.run, status: 'cancelled', done: 3 } });
    await page.getByRole('button', { name: 'Resume' }).click();
    await waitFor(() => inspector.asked.runs.length === 3);
    assert.deepEqual(inspector.asked.runs, ['run', 'cancel', 'run']);
  });

  it('shows the same data as a table that sorts', async () => {
    const page = await open();
    await page.getByRole('region', { name: 'All matrices' }).getByRole('checkbox', { name: 'Table' }).click();
    const rows = page.locator('.map-pane tbody tr');
    await rows.first().waitFor();
    assert.equal(await rows.count(), snapshot.findings.length);
    await page.getByRole('button', { name: '95 % energy' }).click();
    const column = await rows.locator('td:nth-of-type(3)').allInnerTexts();
    const expected = snapshot.findings.map(({ energyRanks }) => energyRanks['0.95']).sort((a, b) => a - b);
    assert.deepEqual(column.map(Number), expected);
    await page.screenshot({ path: `${PICTURES}/inspector-table.png` });
  });

  it('exports the picture and the numbers', async () => {
    const page = await open();
    for (const kind of ['Save the heatmap as PNG', 'Save the numbers as CSV', 'Save the numbers as JSON'])
      await page.getByRole('button', { name: kind }).click();
    await waitFor(() => inspector.asked.saved.length === 3);
    const [png, csv, json] = inspector.asked.saved;
    assert.deepEqual([...Buffer.from(png!.content, 'base64').subarray(1, 4)], [...Buffer.from('PNG')]);
    assert.equal(csv!.content.trim().split('\r\n').length, snapshot.findings.length + 1);
    const analysis = JSON.parse(json!.content);
    assert.equal(analysis.format, 'rankscope.analysis/1');
    assert.deepEqual(
      analysis.matrices.find(({ name }: { name: string }) => name === chosen().name),
      JSON.parse(JSON.stringify(chosen())),
    );
    assert.match(png!.suggestedName, /^model\..*\.png$/);
  });

  it('takes names for text, whatever they hold', async () => {
    const odd = '<img src=x onerror="document.title=\'run\'">';
    const { checkpoint } = snapshot;
    const rename = <Named extends { name: string }>(one: Named) =>
      one.name === chosen().name ? { ...one, name: odd } : one;
    const page = await open({
      checkpoint: { ...checkpoint!, matrices: checkpoint!.matrices.map(rename), warnings: [odd] },
      findings: snapshot.findings.map(rename),
      selected: odd,
      error: { code: 'malformed', subject: odd, found: odd, remedy: odd },
    });
    await page.locator('.detail h2', { hasText: '<img' }).waitFor();
    await pointIn(page, odd);
    assert.equal(await page.locator('img').count(), 0);
    assert.notEqual(await page.title(), 'run');
  });

  it('says why a spectrum could not be had, and asks again', async () => {
    const { name } = chosen();
    let tries = 0;
    inspector = await openInspector(
      harness,
      { ...snapshot, selected: name },
      {
        spectrum: async () => {
          if (++tries === 1) throw new RankscopeError('engine', name, 'the engine ended', 'Try again');
          return spectra.get(name)!;
        },
      },
    );
    await inspector.page.getByText('the engine ended').waitFor();
    await inspector.page.getByRole('button', { name: 'Try again' }).click();
    await inspector.page.locator('.rank-panel').waitFor();
  });

  it('shows why a file cannot be read alone, and tries again', async () => {
    const error = {
      code: 'malformed',
      subject: '/models/broken.safetensors',
      found: 'a header of 1,099,511,627,776 bytes in a file of 10 bytes',
      remedy: 'Download the file again',
    } as const;
    const failed = { status: 'failed', done: 0, total: 0, message: '', secondsLeft: null } as const;
    const unread = { ...snapshot, checkpoint: null, findings: [], skipped: [], engine: null, run: failed, error };
    for (const theme of ['dark', 'light', 'highContrast'] as const) {
      inspector = await openInspector(harness, unread, { theme });
      await inspector.page.getByRole('alert').getByText('a header of').waitFor();
      await inspector.page.screenshot({ path: `${PICTURES}/inspector-unreadable-${theme}.png` });
      if (theme === 'highContrast') break;
      await inspector.close();
    }
    const { page, host, asked } = inspector;
    assert.equal(await page.getByText(/Failed after/).count(), 0);
    for (const part of ['main', '.run-bar', '.legend']) assert.equal(await page.locator(part).isVisible(), false, part);
    await page.getByRole('button', { name: 'Try again' }).click();
    await waitFor(() => asked.runs.length === 1);
    host.update({ run: { ...failed, status: 'running', message: 'Reading the directory' } });
    await page.getByRole('button', { name: 'Cancel' }).waitFor();
    host.update({ checkpoint: snapshot.checkpoint, error: null, findings: snapshot.findings, run: snapshot.run });
    await page.locator('.map canvas').first().waitFor();
    assert.equal(await page.getByRole('alert').count(), 0);
  });

  it('offers what can be opened instead of a folder that is no checkpoint', async () => {
    const error = {
      code: 'not-a-checkpoint',
      subject: '/models/flux',
      found:
        'this is a diffusers pipeline (FluxPipeline) of 3 models (text_encoder, transformer, vae), not a single checkpoint',
      remedy: 'Open one of them: /models/flux/text_encoder, /models/flux/transformer, /models/flux/vae',
      choices: ['/models/flux/text_encoder', '/models/flux/transformer', '/models/flux/vae'],
    } as const;
    const failed = { status: 'failed', done: 0, total: 0, message: '', secondsLeft: null } as const;
    const unread = { ...snapshot, checkpoint: null, findings: [], skipped: [], engine: null, run: failed, error };
    inspector = await openInspector(harness, unread, { theme: 'light', width: 640 });
    const { page, asked } = inspector;
    await page.getByRole('alert').getByText('diffusers pipeline').waitFor();
    await page.screenshot({ path: `${PICTURES}/inspector-choices-light.png` });
    await page.getByRole('button', { name: '/models/flux/transformer' }).click();
    await waitFor(() => asked.opened.length === 1);
    assert.deepEqual(asked.opened, ['/models/flux/transformer']);
  });

  it('lets a fault go once the state changes, and leaves open what a person opened', async () => {
    inspector = await openInspector(harness, snapshot, {
      setRank: async () => {
        throw new RankscopeError('write-failed', 'plan.json', 'the disk is full', 'Free some space');
      },
      spectrum,
    });
    const { page, host } = inspector;
    host.update({ selected: chosen().name });
    await page.locator('.header summary').first().click();
    await page.getByRole('button', { name: 'Use this rank' }).click();
    await page.getByRole('alert').getByText('the disk is full').waitFor();
    host.update({ ranks: { [chosen().name]: 6 } });
    await waitFor(async () => (await page.getByRole('alert').count()) === 0);
    assert.ok(
      await page
        .locator('.header details')
        .first()
        .evaluate((one) => (one as HTMLDetailsElement).open),
    );
  });

  it('shows every matrix from its top, however far the one before was scrolled', async () => {
    const page = await open({ selected: chosen().name });
    await page.locator('.rank-panel').waitFor();
    const detail = page.locator('.detail');
    const top = () => detail.evaluate((one) => one.scrollTop);
    await page.setViewportSize({ width: 1280, height: 560 });
    await detail.evaluate((one) => one.scrollTo(0, 1000));
    assert.ok((await top()) > 0);
    await page.getByRole('button', { name: 'Next matrix' }).evaluate((one) => (one as HTMLElement).click());
    await page.locator('.rank-panel').waitFor();
    await waitFor(async () => (await top()) === 0);
    await page.waitForTimeout(300);
    assert.equal(await top(), 0);
  });

  it('shows a long reason for the engine whole', async () => {
    const reason = 'no GPU adapter was found, and TensorFlow is not installed for this version of Node; '.repeat(3);
    const page = await open({ engine: { name: 'cpu', device: 'CPU', threads: 8, reason } });
    for (const width of [1280, 700]) {
      await page.setViewportSize({ width, height: 860 });
      const cut = await page
        .locator('.engine')
        .evaluate((one) => [one.scrollWidth - one.clientWidth, one.scrollHeight - one.clientHeight]);
      assert.deepEqual(cut, [0, 0], `at ${width}`);
      await page.screenshot({ path: `${PICTURES}/inspector-long-engine-${width}.png` });
    }
  });

  it('brings the detail into view where it stands below the map', async () => {
    inspector = await openInspector(harness, snapshot, { spectrum, width: 700 });
    const { page } = inspector;
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await page.locator('.map canvas').first().waitFor();
    const top = () => page.locator('.detail').evaluate((one) => one.getBoundingClientRect().top);
    assert.ok((await top()) > 400, 'the detail is out of view at first');
    const { x, y } = await pointIn(page, chosen().name);
    await page.mouse.click(x, y);
    await page.locator('.rank-panel').waitFor();
    await waitFor(async () => Math.abs(await top()) < 2);
    await page.screenshot({ path: `${PICTURES}/inspector-narrow-detail.png` });
    // What is chosen in the detail itself moves nothing.
    await page.evaluate(() => window.scrollTo(0, 0));
    await page.getByRole('button', { name: 'Next matrix' }).evaluate((one) => (one as HTMLElement).click());
    await page.waitForTimeout(300);
    assert.ok((await top()) > 400);
  });

  it('scrolls smoothly to the detail unless the person wants less motion', async () => {
    inspector = await openInspector(harness, snapshot, { spectrum, width: 700 });
    const { page } = inspector;
    await page.locator('.map canvas').first().waitFor();
    await page.evaluate(() => {
      Element.prototype.scrollIntoView = (options) => {
        document.body.dataset.motion = String((options as ScrollIntoViewOptions).behavior);
      };
    });
    const motionOf = async (name: string) => {
      const { x, y } = await pointIn(page, name);
      await page.mouse.click(x, y);
      await waitFor(async () => (await page.locator('.detail h2').textContent()) === name);
      return page.locator('body').getAttribute('data-motion');
    };
    const [first, second] = inLayers();
    assert.equal(await motionOf(first!.name), 'smooth');
    await page.emulateMedia({ reducedMotion: 'reduce' });
    assert.equal(await motionOf(second!.name), 'auto');
  });

  it('follows the theme', async () => {
    const page = await open({ findings: [], run: { ...snapshot.run, status: 'idle', done: 0 } });
    const pending = async () => (await probeCell(page, chosen().name))[0]!.colors[0]!;
    const dark = await pending();
    await inspector.setTheme('light');
    await waitFor(async () => (await pending()) !== dark);
    const [red] = (await pending()).split(',').map(Number);
    assert.ok(red! > 180, 'a pending cell is pale on white');
  });
});

async function outcomeOf(list: Locator): Promise<Record<string, number>> {
  const entries = await list
    .locator(':scope > div')
    .evaluateAll((all) => all.map((one) => [one.children[0]!.textContent!, one.children[1]!.textContent!]));
  return Object.fromEntries(entries.map(([term, text]) => [term, Number.parseFloat(text!.replaceAll(',', ''))]));
}

/** Equal as far as three written digits go; `absolute` for what cancellation leaves near zero. */
function near(actual: number, expected: number, absolute = 1e-9): void {
  assert.ok(Math.abs(actual - expected) <= Math.abs(expected) * 5.1e-3 + absolute, `${actual} is not ${expected}`);
}
