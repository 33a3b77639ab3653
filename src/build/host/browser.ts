import { type Browser, chromium, type Page } from 'playwright-core';
import { chromiumPath } from './setup.ts';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A headless browser with one page; `close` ends it. */
export async function openBrowser(): Promise<{ browser: Browser; page: Page }> {
  const browser = await chromium.launch({ executablePath: chromiumPath(), headless: true, args: FLAGS });
  const context = await browser.newContext({ viewport: { width: 1400, height: 900 } });
  return { browser, page: await context.newPage() };
}

/** The workbench's address on `folder`, an absolute path on the server. */
export function workbenchUrl(
  server: { readonly url: string },
  folder: string,
  payload: readonly (readonly [string, string])[] = [],
): string {
  const url = new URL('/', server.url);
  url.searchParams.set('folder', folder);
  if (payload.length > 0) url.searchParams.set('payload', JSON.stringify(payload));
  return url.href;
}

/** How the browser's workbench names a file of the server's machine. */
export const remoteUri = (server: { readonly url: string }, file: string): string =>
  `vscode-remote://${new URL(server.url).host}${file}`;
