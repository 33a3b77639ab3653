import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { openBrowser } from '../../../src/build/host/browser.ts';
import { type PageHandlers, type PageHost, servePage } from '../../../src/protocol/pageChannel.ts';
import { pageHtml } from '../../../src/window/pageHtml.ts';
import { THEMES, type ThemeName } from './themes.ts';

/**
 * What the editor gives a page, as text: a loader's helpers do not exist there. The kept state outlives a reload, as
 * the editor's does.
 */
const EDITOR = `
  globalThis.policyViolations = [];
  document.addEventListener('securitypolicyviolation', (event) => {
    policyViolations.push(event.violatedDirective + ': ' + event.sample);
  });
  globalThis.acquireVsCodeApi = () => ({
    postMessage: (message) => void toHost(message),
    getState: () => JSON.parse(sessionStorage.getItem('state') ?? 'null') ?? undefined,
    setState: (state) => sessionStorage.setItem('state', JSON.stringify(state)),
  });
`;

/** The built pages on a server of their own, and a browser to open them in. */
export interface PageHarness {
  open<Calls extends { [Name in keyof Calls]: { params: unknown; result: unknown } }, Update>(
    page: 'inspector' | 'plan' | 'comparison' | 'sharing' | 'diff' | 'training' | 'lora' | 'evaluation' | 'compression',
    handlers: PageHandlers<Calls>,
    options?: OpenOptions,
  ): Promise<OpenedPage<Update>>;
}

export interface OpenOptions {
  readonly theme?: ThemeName;
  readonly width?: number;
  readonly height?: number;
}

export interface OpenedPage<Update> {
  readonly page: Page;
  readonly host: PageHost<Update>;
  /** Throws where the page threw, logged an error, or tried something against its content security policy. */
  assertNoFaults(): Promise<void>;
  setTheme(theme: ThemeName): Promise<void>;
  close(): Promise<void>;
}

let shared: Promise<PageHarness & { close(): Promise<void> }> | undefined;

/** One harness for all tests of this process: bundling the pages and starting a browser take seconds. */
export function startHarness(): Promise<PageHarness> {
  shared ??= start();
  return shared;
}

after(async () => (await shared)?.close());

async function start(): Promise<PageHarness & { close(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'rankscope-pages-'));
  await build({
    bundle: true,
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
    outdir: folder,
    logLevel: 'silent',
    entryPoints: {
      inspector: 'webview/inspector/inspector.ts',
      plan: 'webview/plan/plan.ts',
      comparison: 'webview/comparison/comparison.ts',
      sharing: 'webview/sharing/sharing.ts',
      diff: 'webview/diff/diff.ts',
      training: 'webview/training/training.ts',
      lora: 'webview/lora/lora.ts',
      evaluation: 'webview/evaluation/evaluation.ts',
      compression: 'webview/compression/compression.ts',
    },
    loader: { '.css': 'css' },
  });
  const server = await serveFolder(folder);
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { browser } = await openBrowser();
  return {
    open: (name, handlers, options = {}) => openPage(browser, origin, name, handlers, options),
    async close() {
      await browser.close();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Pages as the extension writes them: the same frame, with the theme's colours and the class on the body that the
 * editor adds.
 */
function serveFolder(folder: string): Promise<Server> {
  const server = createServer(({ url = '/' }, response) => {
    const { pathname, searchParams } = new URL(url, 'http://127.0.0.1');
    const name = basename(pathname);
    // What browsers ask for unasked.
    if (name === 'favicon.ico') return void response.end();
    const theme = THEMES[(searchParams.get('theme') ?? 'dark') as ThemeName];
    if (name === 'theme.css') {
      const rules = Object.entries(theme.variables).map(([key, value]) => `--vscode-${key}: ${value};`);
      response.setHeader('content-type', 'text/css');
      return void response.end(`:root { ${rules.join(' ')} }`);
    }
    if (!name.endsWith('.html')) {
      response.setHeader('content-type', name.endsWith('.css') ? 'text/css' : 'text/javascript');
      response.end(readFileSync(join(folder, name)));
      return;
    }
    const entry = name.replace('.html', '');
    const html = pageHtml({ title: entry, source: `'self'`, script: `${entry}.js`, style: `${entry}.css` });
    response.setHeader('content-type', 'text/html');
    response.end(
      html
        .replace('</title>', `</title><link rel="stylesheet" href="theme.css?theme=${searchParams.get('theme')}">`)
        .replace('<body>', `<body class="${theme.bodyClass}">`),
    );
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

/**
 * Posts messages to a page in their order; those that come while the driver is busy go together.
 * As text: the driver takes minutes to walk through a hundred thousand findings, and the editor sends JSON as well.
 */
function poster(page: Page): (message: unknown) => Promise<void> {
  const waiting: string[] = [];
  let posting: Promise<void> | undefined;
  const postAll = async () => {
    try {
      while (waiting.length > 0) {
        await page.evaluate((texts) => {
          for (const text of texts) window.postMessage(JSON.parse(text), '*');
        }, waiting.splice(0));
      }
    } finally {
      posting = undefined;
    }
  };
  return (message) => {
    waiting.push(JSON.stringify(message));
    posting ??= postAll();
    return posting;
  };
}

async function openPage<Calls extends { [Name in keyof Calls]: { params: unknown; result: unknown } }, Update>(
  browser: Browser,
  origin: string,
  name: string,
  handlers: PageHandlers<Calls>,
  { theme = 'dark', width = 1280, height = 860 }: OpenOptions,
): Promise<OpenedPage<Update>> {
  const context = await browser.newContext({ viewport: { width, height } });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error.stack ?? error)));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  let deliver: (message: unknown) => void = () => undefined;
  const post = poster(page);
  let answer: () => void = () => undefined;
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const all = handlers as Record<string, (parameters: unknown) => Promise<unknown>>;
  const ready = async (parameters: unknown) => {
    try {
      return await all.ready?.(parameters);
    } finally {
      // The answer is on its way by then: what the host sends after it arrives after it.
      setImmediate(answer);
    }
  };
  const host = servePage<Calls, Update>(
    {
      postMessage: (message) => post(message),
      onMessage(listener) {
        deliver = listener;
        return { dispose: () => undefined };
      },
    },
    { ...all, ready } as unknown as PageHandlers<Calls>,
    (fault) => faults.push(`host: ${fault}`),
  );
  await page.exposeFunction('toHost', (message: unknown) => deliver(message));
  await page.addInitScript({ content: EDITOR });
  await page.goto(`${origin}/${name}.html?theme=${theme}`);
  await answered;
  return {
    page,
    host,
    async assertNoFaults() {
      const violations = await page.evaluate('policyViolations');
      assert.deepEqual({ faults, violations }, { faults: [], violations: [] });
    },
    setTheme: (next) =>
      page.evaluate(({ bodyClass, variables }) => {
        for (const [key, value] of Object.entries(variables))
          document.documentElement.style.setProperty(`--vscode-${key}`, value);
        document.body.className = bodyClass;
      }, THEMES[next]),
    async close() {
      host.close();
      await context.close();
    },
  };
}
