import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Frame, Locator, Page } from 'playwright-core';

const WAIT_MS = 30_000;
/** A menu takes a click that follows its opening at once for the end of the click that opened it. */
const BEFORE_CLICK_MS = 400;

/** A file or folder in the Explorer. */
export function explorerItem(page: Page, name: string): Locator {
  return page.locator('.explorer-folders-view [role=treeitem]').filter({ has: page.getByText(name, { exact: true }) });
}

/** Right-clicks a file in the Explorer and chooses `label`, which may be in a submenu. */
export async function chooseInContextMenu(page: Page, file: string, label: string, submenu?: string): Promise<void> {
  const menu = page.locator('.monaco-menu');
  const entry = menu.getByRole('menuitem', { name: label });
  // A menu is filled when it opens: one opened before the extension's contributions have arrived lacks them.
  await eventually(async () => {
    // Without a menu, the key would take back what is selected in the Explorer.
    if (await menu.first().isVisible()) await page.keyboard.press('Escape');
    await menu.first().waitFor({ state: 'hidden', timeout: 1500 });
    // A mouse that rests on an item brings up its path, which lies over the items below.
    await page.mouse.move(0, 0);
    await explorerItem(page, file).click({ button: 'right', timeout: 3000 });
    if (submenu !== undefined)
      await menu.getByRole('menuitem', { name: submenu, exact: true }).click({ timeout: 3000 });
    await entry.waitFor({ timeout: 1500 });
    await page.waitForTimeout(BEFORE_CLICK_MS);
    await entry.click({ timeout: 3000 });
    await menu.first().waitFor({ state: 'hidden', timeout: 3000 });
  });
}

/** Runs a command through the palette. */
export async function runCommand(page: Page, command: string): Promise<void> {
  const input = quickInput(page);
  await eventually(async () => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('F1');
    await input.waitFor({ timeout: 2000 });
    await input.fill(`>${command}`);
    await page.locator('.quick-input-list').getByRole('option', { name: command }).first().click({ timeout: 3000 });
    await input.waitFor({ state: 'hidden', timeout: 3000 });
  });
}

/** Clicks a button that asks for a choice, and chooses. */
export async function choose(page: Page, button: Locator, choice: string): Promise<void> {
  const option = page.locator('.quick-input-list').getByRole('option', { name: choice });
  await eventually(async () => {
    if (!(await option.isVisible())) await button.click({ timeout: 3000 });
    await option.click({ timeout: 5000 });
  });
}

/** Clicks a button that asks for a file's path, and answers in the dialog that VS Code shows in a browser. */
export async function choosePath(page: Page, button: Locator, file: string): Promise<void> {
  const input = quickInput(page);
  await eventually(async () => {
    if (!(await input.isVisible())) await button.click({ timeout: 3000 });
    await input.waitFor({ timeout: 10_000 });
  });
  await eventually(async () => {
    if (!(await input.isVisible())) return;
    // The dialog writes its own suggestion when it is ready, over what was typed until then.
    if ((await input.inputValue()) !== file) await input.fill(file);
    await page.waitForTimeout(700);
    const shown = await input.inputValue();
    if (shown !== file) throw new Error(`the dialog shows ${shown}`);
    const accept = { name: /^(OK|Save|Choose)$/ };
    await page.locator('.quick-input-widget:visible').getByRole('button', accept).click({ timeout: 3000 });
    await input.waitFor({ state: 'hidden', timeout: 5000 });
  });
}

/** Opens one of the containers of the activity bar. */
export async function openSideBar(page: Page, title: string): Promise<void> {
  const tab = page.locator('.activitybar').getByRole('tab', { name: title });
  await tab.waitFor({ timeout: WAIT_MS });
  await eventually(async () => {
    // A click on the tab of an open container would close it.
    if ((await tab.getAttribute('aria-expanded')) !== 'true') await tab.click({ timeout: 3000 });
    await page.locator('.activitybar').getByRole('tab', { name: title, expanded: true }).waitFor({ timeout: 2000 });
  });
}

/** Shows the inspector's heatmap as a table, or the table as a heatmap again. */
export async function showTable(inspector: Frame, shown: boolean): Promise<void> {
  const box = inspector.getByRole('region', { name: 'All matrices' }).getByRole('checkbox', { name: 'Table' });
  await eventually(() => box.setChecked(shown, { timeout: 3000 }));
}

const quickInput = (page: Page): Locator => page.locator('.quick-input-widget:visible input').first();

/** The page of the webview that shows `heading`; any of its kind where that is left out. */
export function webviewPage(
  page: Page,
  kind: 'inspector' | 'plan' | 'diff' | 'training' | 'lora' | 'evaluation',
  heading?: string,
): Promise<Frame> {
  return eventually(async () => {
    for (const frame of page.frames()) {
      const found = await frame
        .evaluate(
          ([script, title]) =>
            document.querySelector(`script[src*="webview/${script}."]`) !== null &&
            (title === undefined || document.querySelector('h1')?.textContent === title),
          [kind, heading] as const,
        )
        .catch(() => false);
      if (found) return frame;
    }
    throw new Error(
      `no ${kind} page${heading === undefined ? '' : ` of ${heading}`} among ${page.frames().length} frames`,
    );
  });
}

/** Opens a file of the workspace and scrolls to the line with `text`. */
export async function openAtLine(page: Page, file: string, text: string): Promise<void> {
  const line =
    readFileSync(file, 'utf8')
      .split('\n')
      .findIndex((each) => each.includes(text)) + 1;
  await eventually(async () => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+P');
    const input = quickInput(page);
    await input.waitFor({ timeout: 2000 });
    await input.fill(`${basename(file)}:${line}`);
    await page
      .locator('.quick-input-list')
      .getByRole('option', { name: basename(file) })
      .first()
      .waitFor({ timeout: 3000 });
    await input.press('Enter');
    await page
      .locator('.view-line', { hasText: asShown(text) })
      .first()
      .waitFor({ timeout: 3000 });
  });
}

/**
 * Rests the pointer on `word` in the editor's line with `line` until a hover with `text` appears; returns the hover's
 * text.
 */
export async function hoverText(
  page: Page,
  line: string,
  word: string,
  text: string | RegExp,
  limitMs = WAIT_MS,
): Promise<string> {
  const hover = page.locator('.monaco-hover:visible', { hasText: text }).first();
  await eventually(async () => {
    const box = await wordBox(page, line, word);
    await page.mouse.move(box.x, box.y + 120);
    await page.mouse.move(box.x, box.y, { steps: 4 });
    await hover.waitFor({ timeout: 4000 });
  }, limitMs);
  return hover.innerText();
}

/** The middle of `word` on the screen. */
async function wordBox(page: Page, line: string, word: string): Promise<{ x: number; y: number }> {
  const row = page.locator('.view-line', { hasText: asShown(line) }).first();
  return row.evaluate((element, target) => {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const at = (node.textContent ?? '').indexOf(target);
      if (at < 0) continue;
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + target.length);
      const { x, y, width, height } = range.getBoundingClientRect();
      return { x: x + width / 2, y: y + height / 2 };
    }
    throw new Error(`no ${target} in this line`);
  }, word);
}

/** Repeats `attempt` until it succeeds; throws its last error after half a minute. */
export async function eventually<Value>(attempt: () => Promise<Value>, limitMs = WAIT_MS): Promise<Value> {
  const end = Date.now() + limitMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

/** The editor renders spaces as non-breaking ones, and inlay hints stand between the words. */
function asShown(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(' ', '.*'));
}
