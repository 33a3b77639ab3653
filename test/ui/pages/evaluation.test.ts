import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import type { Page } from 'playwright-core';
import type { Evaluation } from '../../../src/model/evaluation.ts';
import { type EvaluationCalls, type EvaluationSnapshot, IDLE } from '../../../src/protocol/page.ts';
import { evaluationOf, plansEvaluation } from './evaluations.ts';
import { type OpenOptions, type PageHarness, startHarness } from './pageHarness.ts';
import type { ThemeName } from './themes.ts';
import { seriousViolations } from './violations.ts';
import { waitFor } from './waitFor.ts';

const DONE = { ...IDLE, status: 'done', done: 1, total: 1 } as const;
const ASKED = 'ranks 32, 64, 128, 256, 512 on wikitext2-evaluation.txt';

describe('evaluation page', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  let asked: string[];
  let saved: { name: string; content: string }[];
  const open = async (
    evaluations: readonly Evaluation[],
    change: Partial<EvaluationSnapshot> = {},
    options: OpenOptions = {},
  ) => {
    asked = [];
    saved = [];
    const path = '/models/smollm2/model.safetensors';
    const snapshot: EvaluationSnapshot = { path, evaluations, run: DONE, asked: ASKED, error: null, ...change };
    const note = (call: string) => async () => void asked.push(call);
    const opened = await harness.open<EvaluationCalls, Partial<EvaluationSnapshot>>(
      'evaluation',
      {
        ready: async () => snapshot,
        measure: note('measure'),
        again: note('again'),
        python: note('python'),
        cancel: note('cancel'),
        open: note('open'),
        save: async ({ suggestedName: name, content }) => {
          saved.push({ name, content });
          return true;
        },
      },
      options,
    );
    if (evaluations.some(({ variants }) => variants.length > 0)) await rows(opened.page).first().waitFor();
    return opened;
  };
  const rows = (page: Page) => page.getByRole('table', { name: 'Measured variants' }).locator('tbody tr');

  before(async () => {
    mkdirSync('test-output/screenshots', { recursive: true });
    harness = await startHarness();
  });

  it('shows every variant beside the dense model, with its error and the text that was measured', async () => {
    const evaluation = evaluationOf();
    const { page, assertNoFaults, close } = await open([evaluation]);
    await page.getByRole('heading', { name: 'How much worse does the model get?' }).waitFor();
    await waitFor(async () => (await rows(page).count()) === 5);
    const cells = await rows(page).nth(3).locator('th, td').allInnerTexts();
    const { difference, differenceError } = evaluation.variants[1]!;
    assert.deepEqual(cells.slice(0, 3), ['rank 256', '81.56', '+233 %']);
    // The error of ln(81.56 / 24.49) is 0.04; two digits of it are shown.
    assert.equal(cells[3], `+${difference.toFixed(3)} ± ${differenceError.toFixed(3)}`);
    const facts = await page.getByRole('region', { name: 'Text and dense model' }).innerText();
    for (const said of [
      '24.49',
      'wikitext2-evaluation.txt',
      '21,004, 8,176 scored',
      '16 of 512 tokens',
      '12,812 tokens',
    ])
      assert.ok(facts.includes(said), `${said} is not in ${facts}`);
    await page.getByText('of which 8,192 were used').waitFor();
    await assertNoFaults();
    await close();
  });

  it('adds the points of later runs on the same text, and keeps runs on another text apart', async () => {
    const first = evaluationOf();
    const { page, host, assertNoFaults, close } = await open([first]);
    await waitFor(async () => (await rows(page).count()) === 5);
    const evaluations = [first, plansEvaluation()];
    host.update({ evaluations });
    await waitFor(async () => (await rows(page).count()) === 8);
    // The same name and sizes, but other losses: it is another text.
    const dense = { perplexity: 11, loss: Math.log(11), lossError: 0.02 };
    const other = evaluationOf({ dense, variants: first.variants.slice(0, 2) });
    host.update({ evaluations: [...evaluations, other] });
    await waitFor(async () => (await rows(page).count()) === 2);
    await page.getByText('Runs on another text are kept apart').waitFor();
    await page.getByRole('combobox', { name: 'Text' }).selectOption({ index: 0 });
    await waitFor(async () => (await rows(page).count()) === 8);
    await assertNoFaults();
    await close();
  });

  it('shows a run of the dense model alone', async () => {
    const { page, assertNoFaults, close } = await open([evaluationOf({ variants: [] })]);
    await page.getByText('Only the dense model was measured.').waitFor();
    assert.match(await page.getByRole('region', { name: 'Text and dense model' }).innerText(), /24\.49/);
    await assertNoFaults();
    await close();
  });

  it('replaces the point of a variant that is measured again', async () => {
    const first = evaluationOf();
    const again = evaluationOf({ variants: [{ ...first.variants[0]!, perplexity: 25.11 }] });
    const { page, assertNoFaults, close } = await open([first, again]);
    await waitFor(async () => (await rows(page).count()) === 5);
    assert.match(await rows(page).last().innerText(), /25\.11/);
    await assertNoFaults();
    await close();
  });

  it('is read by keyboard: arrows walk through the points, Enter selects the row', async () => {
    const { page, assertNoFaults, close } = await open([evaluationOf(), plansEvaluation()]);
    const chart = page.getByRole('application', { name: /^Perplexity by rank/ });
    await chart.focus();
    await chart.press('Home');
    const tip = chart.locator('.tip');
    await tip.getByText('rank 32', { exact: true }).waitFor();
    await chart.press('ArrowRight');
    await chart.press('ArrowRight');
    await tip.getByText('rank 128', { exact: true }).waitFor();
    assert.match(await chart.locator('[aria-live]').innerText(), /rank 128, Perplexity 2,374, × 96\.94/);
    await chart.press('Enter');
    await page.locator('tr.selected', { hasText: 'rank 128' }).waitFor();
    await assertNoFaults();
    await close();
  });

  it('finds the point under the pointer', async () => {
    const { page, assertNoFaults, close } = await open([evaluationOf()]);
    const chart = page.getByRole('application', { name: /^Perplexity by rank/ });
    await chart.focus();
    await chart.press('End');
    // The tip stands beside its point: 16 pixels right of it, or 12 pixels left of it.
    const tip = (await chart.locator('.tip').boundingBox())!;
    const bounds = (await chart.boundingBox())!;
    await chart.press('Escape');
    await page.mouse.move(tip.x + tip.width + 12, tip.y - 16);
    await page.mouse.move(bounds.x + 5, bounds.y + 5);
    assert.equal(await chart.locator('.tip').isVisible(), false);
    let found = '';
    for (let y = bounds.y; y < bounds.y + bounds.height && found === ''; y += 8) {
      await page.mouse.move(tip.x + tip.width + 12, y);
      if (await chart.locator('.tip').isVisible()) found = await chart.locator('.tip').innerText();
    }
    assert.match(found, /^rank 512/);
    await assertNoFaults();
    await close();
  });

  it('keeps the chosen text, axis and point over a reload', async () => {
    const { page, assertNoFaults, close } = await open([evaluationOf()]);
    const log = page.getByRole('checkbox', { name: 'Log perplexity' });
    assert.equal(await log.isChecked(), true, 'perplexities from 24 to 7 million need a logarithmic axis');
    await log.click();
    await rows(page).nth(1).getByRole('button').click();
    const selected = page.locator('tr.selected', { hasText: 'rank 64' });
    await selected.waitFor();
    await page.reload();
    await selected.waitFor();
    assert.equal(await log.isChecked(), false);
    await assertNoFaults();
    await close();
  });

  it('shows progress with the time left, is cancelled, and measures again; a failure says what to do', async () => {
    const run = { status: 'running', done: 31, total: 100, message: 'block 9 of 30', secondsLeft: 75 } as const;
    const { page, host, assertNoFaults, close } = await open([], { run });
    await page.getByText(`${ASKED} · 31 % · block 9 of 30 · 1 min 15 s left`).first().waitFor();
    assert.equal(await page.getByRole('progressbar').getAttribute('value'), '31');
    await page.getByRole('button', { name: 'Cancel' }).click();
    host.update({ run: { ...run, status: 'cancelled' } });
    await page.getByText(`Stopped: ${ASKED}`).first().waitFor();
    await page.getByRole('button', { name: 'Measure again' }).click();
    await page.getByRole('button', { name: /^Write a script for transformers/ }).click();
    await waitFor(async () => asked.length === 3);
    assert.deepEqual(asked, ['cancel', 'again', 'python']);
    const error = {
      code: 'unsupported',
      subject: 'config.json',
      found: 'the architecture "MambaForCausalLM" is not known',
      remedy: 'Measure it with transformers: rankscope evaluate --python',
    } as const;
    host.update({ error, run: { ...run, status: 'failed' } });
    const alert = page.getByRole('alert');
    await alert.getByText('the architecture "MambaForCausalLM" is not known').waitFor();
    await alert.getByText('rankscope evaluate --python').waitFor();
    host.update({ error: null, evaluations: [evaluationOf()], run: DONE });
    await waitFor(async () => (await rows(page).count()) === 5);
    await assertNoFaults();
    await close();
  });

  it('saves the numbers as CSV and JSON, and the charts as a picture', async () => {
    const evaluations = [evaluationOf(), plansEvaluation()];
    const { page, assertNoFaults, close } = await open(evaluations);
    for (const kind of [
      'Save these numbers as CSV',
      'Save the evaluations of this text as JSON',
      'Save the charts as PNG',
    ])
      await page.getByRole('button', { name: kind }).click();
    await waitFor(async () => saved.length === 3);
    const lines = saved[0]!.content.trimEnd().split('\r\n');
    assert.equal(lines.length, 9);
    const column = lines[0]!.split(',').indexOf('perplexity');
    assert.equal(Number(lines[1]!.split(',')[column]), 7_400_299);
    assert.deepEqual(JSON.parse(saved[1]!.content), evaluations);
    assert.deepEqual(
      saved.map(({ name }) => name),
      ['model.evaluation.csv', 'model.evaluation.json', 'model.evaluation.png'],
    );
    assert.equal(Buffer.from(saved[2]!.content, 'base64').toString('latin1', 1, 4), 'PNG');
    await assertNoFaults();
    await close();
  });

  it('shows numbers of transformers beside its own, and names who measured', async () => {
    const engine = { name: 'transformers 5.24.0', device: 'cuda', threads: 1, reason: '' };
    const { page, assertNoFaults, close } = await open([
      evaluationOf(),
      evaluationOf({ source: 'transformers', engine }),
    ]);
    await waitFor(async () => (await rows(page).count()) === 10);
    assert.equal(await rows(page).filter({ hasText: 'transformers 5.24.0' }).count(), 5);
    await assertNoFaults();
    await close();
  });

  for (const theme of ['dark', 'light', 'highContrast'] as const satisfies readonly ThemeName[])
    it(`fits widths from 400 to 1600 pixels and has no serious fault of accessibility (axe), ${theme}`, async () => {
      const { page, assertNoFaults, close } = await open(
        [evaluationOf(), plansEvaluation()],
        {},
        { theme, width: 1600 },
      );
      for (const width of [1600, 1000, 640, 400]) {
        await page.setViewportSize({ width, height: 900 });
        await rows(page).first().waitFor();
        await page.waitForTimeout(100);
        const overflow = await page.evaluate(
          'document.documentElement.scrollWidth - document.documentElement.clientWidth',
        );
        assert.equal(overflow, 0, `${width} pixels: the page is ${overflow} pixels too wide`);
        await page.screenshot({ path: `test-output/screenshots/evaluation-${theme}-${width}.png`, fullPage: true });
      }
      assert.deepEqual(await seriousViolations(page, theme), []);
      await assertNoFaults();
      await close();
    });
});
