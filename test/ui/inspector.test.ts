import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from 'playwright-core';
import { openVscode, type Vscode } from '../../src/build/host/vscode.ts';
import { type AnalyzedMatrix, analyzed } from './commandLine.ts';
import { chooseInContextMenu, choosePath, eventually, runCommand, showTable, webviewPage } from './workbench.ts';

const CHECKPOINT = 'model.safetensors';
const CHOSEN = 'model.layers.1.mlp.gate_proj.weight';

describe('the inspector, in the installed extension', function () {
  this.timeout(120_000);
  let vscode: Vscode;
  let inspector: Frame;
  let matrices: readonly AnalyzedMatrix[];

  before(async () => {
    vscode = await openVscode();
    matrices = analyzed(join(vscode.folder, CHECKPOINT));
  });
  after(async () => {
    await vscode?.close();
    assert.deepEqual(vscode?.pageErrors, []);
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') await vscode?.screenshot(`failed-${this.currentTest.title.slice(0, 40)}`);
  });

  it('opens by a right click on a checkpoint', async () => {
    await chooseInContextMenu(vscode.page, CHECKPOINT, 'Analyze Weight Ranks');
    inspector = await webviewPage(vscode.page, 'inspector', CHECKPOINT);
    await inspector.locator('dl.facts', { hasText: 'safetensors' }).waitFor();
  });

  it('fills the heatmap with every matrix and shows the numbers that the command line prints', async () => {
    await inspector
      .getByRole('application', { name: /Heatmap/ })
      .first()
      .waitFor();
    await showTable(inspector, true);
    const rows = await eventually(async () => {
      const found = await tableRows(inspector);
      assert.deepEqual(
        found.map((row) => row.State).filter((state) => !state?.startsWith('exact')),
        [],
      );
      assert.equal(found.length, matrices.length);
      return found;
    }, 60_000);
    for (const matrix of matrices) {
      const row = rows.find((each) => each.Matrix === matrix.name);
      assert.ok(Math.abs(Number(row?.Effective) - matrix.effectiveRank) <= 0.005 * matrix.effectiveRank, matrix.name);
      assert.equal(Number(row?.['Break-even']), matrix.breakEvenRank, matrix.name);
    }
    await vscode.screenshot('inspector-table');
    await showTable(inspector, false);
    await vscode.screenshot('inspector-heatmap');
  });

  it('computes in the Node that comes with the extension', function () {
    if (!existsSync('/proc')) this.skip();
    const carried = join(vscode.extension, 'dist/node/bin/node');
    assert.match(execFileSync(carried, ['--version'], { encoding: 'utf8' }), /^v2\d\./);
    assert.ok(runningPrograms().includes(carried), `${carried} is not running`);
  });

  it('shows the spectrum of a clicked cell', async () => {
    await eventually(async () => {
      await clickCell(inspector, CHOSEN);
      await inspector.locator('h2', { hasText: CHOSEN }).waitFor({ timeout: 5000 });
    });
    await inspector.getByRole('region', { name: 'Rank', exact: true }).waitFor();
    await vscode.screenshot('inspector-spectrum');
  });

  it('computes what the rank on the slider means', async () => {
    const matrix = matrices.find(({ name }) => name === CHOSEN);
    assert.ok(matrix);
    const [rows, columns] = matrix.shape;
    for (const rank of [1, Math.floor(matrix.breakEvenRank / 2), matrix.breakEvenRank + 1]) {
      await inspector.getByRole('slider', { name: 'Rank' }).fill(String(rank));
      const outcome = await inspector.locator('dl.outcome').innerText();
      const squares = matrix.singularValues.map((value) => value * value);
      const total = squares.reduce((sum, value) => sum + value, 0);
      const cut = squares.slice(rank).reduce((sum, value) => sum + value, 0);
      closeTo(percentAfter(outcome, 'Error'), 100 * Math.sqrt(cut / total));
      closeTo(percentAfter(outcome, 'Energy kept'), 100 * (1 - cut / total));
      closeTo(percentAfter(outcome, 'Ratio'), (100 * rank * (rows + columns)) / (rows * columns));
      const verdict = await inspector.locator('.verdict').innerText();
      assert.match(verdict, rank <= matrix.breakEvenRank ? /^Saves \d/ : /^Saves nothing/);
    }
    await vscode.screenshot('inspector-above-break-even');
  });

  it('saves the numbers as CSV and JSON under the chosen path', async () => {
    for (const kind of ['CSV', 'JSON']) {
      const target = join(vscode.folder, `exported.${kind.toLowerCase()}`);
      await choosePath(vscode.page, inspector.getByRole('button', { name: `Save the numbers as ${kind}` }), target);
      // The file is there before it is whole.
      await eventually(async () => {
        const text = readFileSync(target, 'utf8');
        for (const { name } of matrices) assert.ok(text.includes(name), `${kind} lacks ${name}`);
      });
    }
  });

  it('saves the heatmap as a picture', async () => {
    const target = join(vscode.folder, 'exported.png');
    await choosePath(vscode.page, inspector.getByRole('button', { name: 'Save the heatmap as PNG' }), target);
    await eventually(async () => {
      const picture = readFileSync(target);
      assert.deepEqual([...picture.subarray(1, 4)], [...Buffer.from('PNG')]);
      assert.ok(picture.length > 5000, `${picture.length} bytes are no heatmap`);
    });
  });

  it('shows the same after its page was discarded', async () => {
    await runCommand(vscode.page, 'Developer: Reload Webviews');
    await eventually(async () => assert.ok(inspector.isDetached()));
    inspector = await webviewPage(vscode.page, 'inspector', CHECKPOINT);
    await showTable(inspector, true);
    await eventually(async () => assert.equal((await tableRows(inspector)).length, matrices.length));
    await showTable(inspector, false);
  });
});

/** The executables of all processes that may be looked at. */
function runningPrograms(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [readlinkSync(`/proc/${name}/exe`)];
      } catch {
        // It has ended, or it is another user's.
        return [];
      }
    });
}

/** The accessible table, each row by its column heads. */
async function tableRows(inspector: Frame): Promise<Record<string, string>[]> {
  return inspector.locator('.table-root table').evaluate((table) => {
    const heads = [...table.querySelectorAll('thead th')].map(
      (head) => head.textContent?.replace(/[▲▼↑↓]/g, '').trim() ?? '',
    );
    return [...table.querySelectorAll('tbody tr')].map((row) =>
      Object.fromEntries(
        [...row.querySelectorAll('td, th')].map((cell, index) => [heads[index], cell.textContent?.trim() ?? '']),
      ),
    );
  });
}

/**
 * Moves over the heatmap as a person looking for a cell would: down to the layer, along to the module; and clicks
 * there.
 */
async function clickCell(inspector: Frame, name: string): Promise<void> {
  const canvas = inspector.locator('.map canvas').first();
  const box = await canvas.boundingBox();
  assert.ok(box);
  const { width, height } = box;
  const tip = inspector.locator('.map .tip').first();
  const named = async (x: number, y: number) => {
    await canvas.hover({ position: { x, y } });
    return (await tip.isVisible()) ? ((await tip.innerText()).split('\n')[0] ?? '') : '';
  };
  const layer = name.split('.').slice(0, 3).join('.');
  for (let y = 8; y < height; y += 16) {
    if (!(await named(width / 2, y)).startsWith(`${layer}.`)) continue;
    for (let x = 8; x < width; x += 24) if ((await named(x, y)) === name) return canvas.click({ position: { x, y } });
  }
  throw new Error(`no cell of the heatmap is ${name}`);
}

/** `text` holds lines of a term and its value. */
function percentAfter(text: string, term: string): number {
  const value = new RegExp(`${term}\\s+([\\d.,e−-]+) %`, 'i').exec(text)?.[1];
  assert.ok(value !== undefined, `no ${term} in ${text}`);
  return Number(value.replaceAll(',', '').replace('−', '-'));
}

/** The page shows three significant digits. */
function closeTo(shown: number, expected: number): void {
  assert.ok(Math.abs(shown - expected) <= 0.0051 * Math.abs(expected) + 1e-9, `${shown} is shown for ${expected}`);
}
