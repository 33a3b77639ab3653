import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import type { Plan } from '../../../src/model/plan/plan.ts';
import { type PageHarness, startHarness } from './pageHarness.ts';
import { openPlan, type PlanUnderTest, planned, REQUEST, snapshotOf } from './planHost.ts';
import { waitFor } from './waitFor.ts';

describe('plan page', function () {
  this.timeout(120_000);
  let harness: PageHarness;
  let plan: Plan;
  let view: PlanUnderTest;
  const open = async (...parameters: Parameters<typeof snapshotOf>) => {
    view = await openPlan(harness, snapshotOf(...parameters));
    return view.page;
  };

  before(async () => {
    mkdirSync('test-output/screenshots', { recursive: true });
    harness = await startHarness();
    plan = await planned();
  });
  afterEach(async () => {
    await view.assertNoFaults();
    await view.close();
  });

  it('shows what the plan comes to, and warns that weights are not the whole story', async () => {
    const page = await open(plan);
    const { parametersBefore, parametersAfter, error } = plan.totals;
    const kept = Number.parseFloat(await page.locator('.headline strong').innerText());
    assert.ok(Math.abs(kept - (parametersAfter / parametersBefore) * 100) < 0.06);
    const { parameters } = plan.checkpoint;
    const ofModel = Number.parseFloat(await page.locator('.of-model').innerText());
    assert.ok(Math.abs(ofModel - ((parameters - parametersBefore + parametersAfter) / parameters) * 100) < 0.06);
    assert.ok(ofModel > kept, 'what stays dense by default is not part of the budget');
    const shown = Number.parseFloat(
      await page
        .getByRole('row', { name: /Weight error/ })
        .locator('td')
        .last()
        .innerText(),
    );
    assert.ok(Math.abs(shown - error * 100) < 0.06);
    await page.getByText(/shows how much worse the model gets on a text/).waitFor();
    await page.screenshot({ path: 'test-output/screenshots/plan-page.png', fullPage: true });
  });

  it('lists every matrix with its rank, and why one stays dense', async () => {
    const page = await open(plan);
    await page.locator('.matrices li').first().waitFor();
    assert.equal(await page.locator('.matrices li').count(), Math.min(60, plan.matrices.length));
    const dense = plan.matrices.find(({ rank }) => rank === null)!;
    const row = page.locator('.matrices li', { hasText: dense.name });
    assert.ok((await row.innerText()).includes(dense.reason!));
    const cut = plan.matrices.find(({ rank }) => rank !== null)!;
    const field = page.getByRole('spinbutton', { name: `Rank of ${cut.name}` });
    assert.equal(await field.getAttribute('placeholder'), String(cut.rank));
  });

  it('leaves the embedding dense, and cuts it as well on request', async () => {
    const page = await open(plan);
    const name = 'model.embed_tokens.weight';
    const row = page.locator('.matrices li', { hasText: name });
    assert.match(await row.innerText(), /an embedding.*dense by default/);
    const kinds = page.getByRole('group', { name: /Dense by default/ });
    assert.deepEqual(await kinds.getByRole('checkbox').allInnerTexts(), ['Embeddings (1)']);
    await kinds.getByText('Embeddings').click();
    await waitFor(() => view.asked.requests.length === 1);
    assert.deepEqual(view.asked.requests[0], { ...REQUEST, include: ['embedding'] });
    await page.getByRole('spinbutton', { name: `Rank of ${name}` }).fill('5');
    await page.getByRole('spinbutton', { name: `Rank of ${name}` }).press('Enter');
    await waitFor(() => view.asked.requests.length === 2);
    assert.deepEqual(view.asked.requests[1]?.overrides, { [name]: 5 });
    await kinds.getByText('Embeddings').click();
    await waitFor(() => view.asked.requests.length === 3);
    assert.deepEqual(view.asked.requests[2]?.include, []);
  });

  it('warns that a tied head is cut with its embedding, and of a budget that cannot be met', async () => {
    const note = 'Cutting the embedding a also cuts the head b, which is tied to it.';
    const page = await open({ ...plan, notes: [note], unmet: 'the ranks set by hand take more' });
    await page.getByText(note).waitFor();
    await page.getByText('The budget cannot be met: the ranks set by hand take more.').waitFor();
    await page.screenshot({ path: 'test-output/screenshots/plan-page-notes.png' });
    const { notes: _, ...quiet } = plan;
    view.host.update({ plan: quiet });
    await page.getByText(note).waitFor({ state: 'detached' });
    assert.ok(await page.getByRole('list', { name: 'Notes' }).isHidden());
  });

  it('asks for a text, a time and a start where ranks are spread by loss, and says what was measured', async () => {
    const request = { ...REQUEST, spread: 'loss' } as const;
    const measure = { text: null, statistics: null, minutes: null, waits: true };
    const page = await open(null, { request, measure });
    const start = page.getByRole('button', { name: /^Pass the text/ });
    await page.getByRole('button', { name: 'Choose a text…' }).click();
    await waitFor(() => view.asked.others.includes('chooseText'));
    assert.ok(await start.isDisabled());
    view.host.update({ measure: { ...measure, text: '/texts/wiki.txt' } });
    await page.getByRole('button', { name: 'wiki.txt' }).waitFor();
    await page.getByRole('spinbutton', { name: /^Minutes/ }).fill('20');
    await page.getByRole('spinbutton', { name: /^Minutes/ }).press('Tab');
    await waitFor(() => view.asked.others.includes('minutes 20'));
    await page.getByRole('spinbutton', { name: /^Lowest rank/ }).fill('40');
    await page.getByRole('spinbutton', { name: /^Lowest rank/ }).press('Tab');
    await waitFor(() => view.asked.requests.at(-1)?.floor === 0.4);
    await page.screenshot({ path: 'test-output/screenshots/plan-page-loss.png', fullPage: true });
    await start.click();
    await waitFor(() => view.asked.others.includes('start'));
    const running = { ...measure, text: '/texts/wiki.txt', waits: false };
    view.host.update({ measure: running, busy: 'KL of block 3, 12 of 210, about 4 min left' });
    await page.getByText('KL of block 3, 12 of 210').waitFor();
    assert.ok(await start.isHidden());
    await page.screenshot({ path: 'test-output/screenshots/plan-page-measuring.png', fullPage: true });
    await page.getByRole('button', { name: 'Cancel' }).click();
    await waitFor(() => view.asked.others.includes('cancel'));
    const sensitivities: Plan['sensitivities'] = {
      inputs: { kind: 'full', text: 'wiki.txt', tokens: 16_384 },
      divergences: { text: 'wiki.txt', tokens: 1024, measured: 30, filledIn: 5, seconds: 9 },
      matrices: [],
    };
    view.host.update({ plan: { ...plan, sensitivities }, busy: null, measure: running });
    await page
      .getByText(/wiki\.txt, 16,384 tokens\. KL on 1,024 tokens of wiki\.txt: measured for 30 .* 5 others/)
      .waitFor();
    await page.getByRole('row', { name: /Error of W X/ }).waitFor();
    await page.screenshot({ path: 'test-output/screenshots/plan-page-measured.png', fullPage: true });
  });

  it('keeps what is being typed when the plan comes meanwhile', async () => {
    const page = await open(plan);
    const field = page.getByRole('spinbutton', { name: 'Budget value' });
    await field.fill('80');
    view.host.update(snapshotOf(plan));
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100)));
    await field.press('Tab');
    await waitFor(() => view.asked.requests.length > 0);
    assert.deepEqual(view.asked.requests.at(-1)?.budget, { kind: 'keep', value: 0.8 });
  });

  it('sends one request for a slider that was dragged, not one for every step', async () => {
    const page = await open(plan);
    const slider = page.getByRole('slider', { name: 'Budget' });
    const box = (await slider.boundingBox())!;
    const middle = box.y + box.height / 2;
    await page.mouse.move(box.x + box.width * 0.59, middle);
    await page.mouse.down();
    for (let step = 1; step <= 10; step++) await page.mouse.move(box.x + box.width * (0.59 - step * 0.02), middle);
    const field = page.getByRole('spinbutton', { name: 'Budget value' });
    assert.notEqual(await field.inputValue(), '60', 'the number follows the slider');
    await page.mouse.up();
    await waitFor(() => view.asked.requests.length > 0);
    const [request] = view.asked.requests;
    assert.equal(view.asked.requests.length, 1);
    assert.equal(request!.budget.value, Number(await field.inputValue()) / 100);
    assert.deepEqual({ ...request, budget: REQUEST.budget }, REQUEST);
  });

  it('changes one part of the request at a time, each on top of the last', async () => {
    const page = await open(plan);
    await page.getByRole('combobox', { name: 'Spread' }).selectOption('uniform');
    await page.getByRole('combobox', { name: 'Factors' }).selectOption('3');
    await page.getByRole('spinbutton', { name: 'Ranks are multiples of' }).fill('16');
    const patterns = page.getByRole('textbox', { name: /Matrices to keep dense/ });
    await patterns.fill('*.q_proj.*\n\n  *lm_head*  ');
    await patterns.blur();
    await page.getByRole('combobox', { name: 'Budget' }).selectOption('error');
    await waitFor(() => view.asked.requests.length === 5);
    assert.deepEqual(view.asked.requests.at(-1), {
      ...REQUEST,
      budget: { kind: 'error', value: 0.1 },
      spread: 'uniform',
      factors: 3,
      multiple: 16,
      exclude: ['*.q_proj.*', '*lm_head*'],
    });
    await page.getByRole('combobox', { name: 'Budget' }).selectOption('rank');
    // Nothing is spread with one rank. The page draws in the next frame.
    await page.getByRole('combobox', { name: 'Spread' }).waitFor({ state: 'hidden' });
  });

  it('takes budgets for the whole model, and says what stays dense by default', async () => {
    const page = await open(plan);
    const { bytesOfModelBefore, multiplyAddsBefore } = plan.totals;
    for (const part of ['embeddings', 'heads', 'routers', 'position tables', 'norms', 'convolutional stems'])
      await page.getByText(new RegExp(`By default.*${part}.*stay dense`)).waitFor();
    const kind = page.getByRole('combobox', { name: 'Budget' });
    const field = page.getByRole('spinbutton', { name: 'Budget value' });
    await kind.selectOption('Size of the file');
    await field.fill('0.8');
    await field.press('Tab');
    await kind.selectOption('Multiply-adds');
    await kind.selectOption('Compression ratio');
    await waitFor(() => view.asked.requests.length === 4);
    assert.ok(bytesOfModelBefore! > 1e6 && bytesOfModelBefore! < 1e9, 'shown in MB');
    assert.deepEqual(
      view.asked.requests.map(({ budget }) => budget),
      [
        { kind: 'bytes', value: Math.round(0.7 * bytesOfModelBefore!) },
        { kind: 'bytes', value: 800_000 },
        { kind: 'multiplyAdds', value: Math.round(0.7 * multiplyAddsBefore!) },
        { kind: 'compressionRatio', value: 0.5 },
      ],
    );
  });

  it('takes rules by name, and keeps a line that is none until it is mended', async () => {
    const page = await open(plan);
    const rules = page.getByRole('textbox', { name: /^Rules for matrices/ });
    await rules.fill('*.down_proj.*: floor 0.5\n*.q_proj.*: rang 8');
    await rules.blur();
    await page
      .getByRole('alert')
      .getByText(/'rang 8' is no setting/)
      .waitFor();
    await page.screenshot({ path: 'test-output/screenshots/plan-page-rules.png' });
    assert.equal(view.asked.requests.length, 0);
    assert.match(await rules.inputValue(), /rang 8/);
    await rules.fill('*.down_proj.*: floor 0.5\n*.q_proj.*: rank 8');
    await rules.blur();
    await waitFor(() => view.asked.requests.length === 1);
    assert.deepEqual(view.asked.requests[0]?.rules, [
      { match: '*.down_proj.*', floor: 0.5 },
      { match: '*.q_proj.*', rank: 8 },
    ]);
    assert.ok(await page.getByRole('alert').isHidden());
  });

  it('shows error against size with the place of the plan, and plans for a size that is picked', async () => {
    const page = await open(plan);
    const { totals } = plan;
    const section = page.getByRole('region', { name: 'Error against size' });
    const percent = (text: string) => Number.parseFloat(text) / 100;
    const [, kept = '', error = '', least = '', uniform = ''] =
      /At ([\d.]+) % .* loses ([\d.]+) %; the least is ([\d.]+) %, the same share everywhere ([\d.]+) %/.exec(
        await section.getByText(/^At /).innerText(),
      ) ?? [];
    assert.ok(Math.abs(percent(kept) - totals.keptShare) < 0.0006);
    assert.ok(Math.abs(percent(error) - totals.error) < 0.0006);
    assert.ok(percent(least) <= percent(error) + 0.002 && percent(uniform) > percent(error), `${least} ${uniform}`);
    await section.locator('canvas').waitFor();
    await section.scrollIntoViewIfNeeded();
    await page.screenshot({ path: 'test-output/screenshots/plan-sensitivity.png' });
    await section.getByText('As a table').click();
    const rows = section.getByRole('table').locator('tbody tr');
    assert.match(await rows.first().innerText(), /\(plan\)/);
    await section.getByRole('combobox', { name: 'What a size is counted in' }).selectOption('Size of the file');
    await section.getByText(/KB \(plan\)|MB \(plan\)/).waitFor();
    await section.getByRole('application').focus();
    await page.keyboard.press('Home');
    await page.keyboard.press('Enter');
    await waitFor(() => view.asked.requests.length === 1);
    const { kind, value } = view.asked.requests[0]!.budget;
    assert.equal(kind, 'bytes');
    // The leftmost point is the smallest plan there is.
    assert.ok(value < totals.bytesOfModel!, `${value}`);
  });

  it('takes a rank by hand, a matrix kept dense, and gives both back', async () => {
    const page = await open(plan);
    const { name, shape } = plan.matrices.find(({ rank }) => rank !== null)!;
    const field = page.getByRole('spinbutton', { name: `Rank of ${name}` });
    await field.fill('7');
    await field.press('Enter');
    await field.fill('99999');
    await field.press('Enter');
    await field.fill('');
    await field.press('Enter');
    await page.getByRole('button', { name: `Keep ${name} dense` }).click();
    await page.getByRole('button', { name: `Keep ${name} dense`, pressed: true }).click();
    await waitFor(() => view.asked.requests.length === 5);
    assert.deepEqual(
      view.asked.requests.map(({ overrides }) => overrides),
      [{ [name]: 7 }, { [name]: Math.min(...shape) }, {}, { [name]: null }, {}],
    );
  });

  it('filters by name and shows a matrix in the heatmap', async () => {
    const page = await open(plan);
    const { name } = plan.matrices.at(-1)!;
    const filter = page.getByRole('textbox', { name: 'Filter matrices by name' });
    await filter.fill(name);
    await filter.press('Enter');
    await waitFor(async () => (await page.locator('.matrices li').count()) === 1);
    await page.getByRole('button', { name, exact: true }).click();
    await waitFor(() => view.asked.others.length === 1);
    assert.deepEqual(view.asked.others, [`reveal ${name}`]);
  });

  it('offers undo, apply and save as the host allows them', async () => {
    const page = await open(plan, { canUndo: true, canRedo: true });
    for (const label of ['Undo', 'Redo', 'Save plan…', 'Open plan…', 'Apply…'])
      await page.getByRole('button', { name: label }).click();
    await page.getByRole('button', { name: 'Measure how much worse the model gets with this plan' }).click();
    await waitFor(() => view.asked.others.length === 6);
    assert.deepEqual(view.asked.others, ['undo', 'redo', 'savePlan', 'openPlan', 'apply', 'measure']);
    view.host.update({ canWrite: false, canUndo: false, canRedo: false });
    await page.getByText(/not trusted/).waitFor();
    for (const label of ['Undo', 'Redo', 'Save plan…', 'Apply…'])
      assert.ok(await page.getByRole('button', { name: label }).isDisabled(), label);
  });

  it('cannot apply a plan that is no longer what was asked for', async () => {
    const page = await open(plan);
    view.host.update({ request: { ...REQUEST, multiple: 16 }, busy: 'Planning' });
    await page.getByText('Planning').waitFor();
    assert.ok(await page.getByRole('button', { name: 'Apply…' }).isDisabled());
    assert.equal(await page.locator('.headline').count(), 1, 'the old totals stay in view');
    view.host.update({ plan, busy: null });
    await waitFor(() => page.getByRole('button', { name: 'Apply…' }).isEnabled());
  });

  it('forgets the totals of another checkpoint', async () => {
    const page = await open(plan);
    await page.getByRole('combobox', { name: 'Checkpoint' }).selectOption('/other.gguf');
    await waitFor(() => view.asked.others.includes('select /other.gguf'));
    view.host.update({ current: '/other.gguf', plan: null });
    await page.locator('.totals').waitFor({ state: 'hidden' });
  });

  it('shows an error with what to do', async () => {
    const page = await open(plan);
    const error = {
      code: 'changed',
      subject: 'model.safetensors',
      found: 'it was changed',
      remedy: 'Open it again',
    } as const;
    view.host.update({ error, plan: null });
    const alert = page.getByRole('alert');
    await alert.waitFor();
    for (const part of [error.subject, error.found, error.remedy]) assert.ok((await alert.innerText()).includes(part));
  });

  it('says how to begin where nothing is open', async () => {
    const page = await open(null, { checkpoints: [], current: null });
    await page.getByText(/To plan ranks, right-click/).waitFor();
    assert.ok(await page.getByRole('button', { name: 'Apply…' }).isHidden());
  });

  it('lists 100,000 matrices a page at a time, and finds any of them by name', async () => {
    const [first] = plan.matrices.filter(({ rank }) => rank !== null);
    const names = Array.from({ length: 100_000 }, (_, k) => `blocks.${Math.floor(k / 100)}.part_${k % 100}.weight`);
    const page = await open({ ...plan, matrices: names.map((name) => ({ ...first!, name })) });
    await page.getByText('Show more of 100,000').waitFor();
    assert.equal(await page.locator('.matrices li').count(), 60);
    const search = page.getByRole('textbox', { name: 'Filter matrices by name' });
    await search.fill('blocks.987. part_65');
    await search.press('Enter');
    await waitFor(async () => (await page.locator('.matrices li').count()) === 1);
    await page.getByRole('spinbutton', { name: 'Rank of blocks.987.part_65.weight' }).fill('3');
    await page.getByRole('spinbutton').last().press('Enter');
    await waitFor(() => Promise.resolve(view.asked.requests.length > 0));
    assert.deepEqual(view.asked.requests.at(-1)?.overrides, { 'blocks.987.part_65.weight': 3 });
    const elements = Number(await page.evaluate('document.querySelectorAll("*").length'));
    assert.ok(elements < 1000, `${elements} elements`);
  });
});
