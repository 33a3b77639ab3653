import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Frame, Locator, Page } from 'playwright-core';

const WAIT_MS = 30_000;

/** A file or folder in the Explorer. */
export function explorerItem(page: Page, name: string): Locator {
  return page.locator('.explorer-folders-view [role=treeitem]').filter({ has: page.getByText(name, { exact: true }) });
}

/** Right-clicks a file in the Explorer and chooses `label`. */
export async function chooseInContextMenu(page: Page, file: string, label: string): Promise<void> {
  const entry = page.locator('.monaco-menu').getByRole('menuitem', { name: label });
  // A menu is filled when it opens: one opened before the extension's contributions have arrived lacks them.
  await eventually(async () => {
    await page.keyboard.press('Escape');
    // A mouse that rests on an item brings up its path, which lies over the items below.
    await page.mouse.move(0, 0);
    await explorerItem(page, file).click({ button: 'right', timeout: 3000 });
    await entry.waitFor({ timeout: 1500 });
  });
  await entry.click();
}

/** Runs a command through the palette. */
export async function runCommand(page: Page, command: string): Promise<void> {
  const input = page.locator('.quick-input-widget:visible input').first();
  await eventually(async () => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('F1');
    await input.waitFor({ timeout: 2000 });
    await input.fill(`>${command}`);
    await page.locator('.quick-input-list').getByRole('option', { name: command }).first().click({ timeout: 3000 });
  });
}

/** Answers the question for a file's path that VS Code shows in a browser. */
export async function answerPath(page: Page, file: string): Promise<void> {
  const input = page.locator('.quick-input-widget:visible input').first();
  await input.waitFor({ timeout: WAIT_MS });
  // The dialog writes its own suggestion when it is ready, over what was typed until then.
  await eventually(async () => {
    if ((await input.inputValue()) !== file) await input.fill(file);
    await page.waitForTimeout(700);
    if ((await input.inputValue()) !== file) throw new Error(`the dialog shows ${await input.inputValue()}`);
  });
  await page
    .locator('.quick-input-widget:visible')
    .getByRole('button', { name: /^(OK|Save)$/ })
    .click();
  await input.waitFor({ state: 'hidden' });
}

/** Opens one of the containers of the activity bar. */
export async function openSideBar(page: Page, title: string): Promise<void> {
  const tab = page.locator('.activitybar').getByRole('tab', { name: title });
  await tab.waitFor({ timeout: WAIT_MS });
  if ((await tab.getAttribute('aria-expanded')) !== 'true') await tab.click();
}

/** The page of a webview that shows `heading`, or whichever there is of its kind. */
export function webviewPage(page: Page, kind: 'inspector' | 'plan', heading?: string): Promise<Frame> {
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

/** Opens a file of the workspace with the line that holds `text` in sight. */
export async function openAtLine(page: Page, file: string, text: string): Promise<void> {
  const line =
    readFileSync(file, 'utf8')
      .split('\n')
      .findIndex((each) => each.includes(text)) + 1;
  await eventually(async () => {
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+P');
    const input = page.locator('.quick-input-widget:visible input').first();
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

/** Rests the pointer on `word` in the line of the editor that holds `line`, until a hover with `text` is there; returns its text. */
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
export async function wordBox(page: Page, line: string, word: string): Promise<{ x: number; y: number }> {
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

/** Tries until it works; throws the last failure after half a minute. */
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

/** The editor writes spaces as non-breaking ones, and inlay hints stand between the words. */
function asShown(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(' ', '.*'));
}
