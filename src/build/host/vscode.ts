import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { thisTarget } from '../nodeRuntime.ts';
import { openBrowser, workbenchUrl } from './browser.ts';
import { temporarySample } from './sample.ts';
import { installVsix, type ServerOptions, startServer } from './server.ts';
import { RELEASES, type Release } from './setup.ts';

/** A VS Code with the packed extension installed, opened on a copy of the sample workspace. */
export interface Vscode {
  readonly page: Page;
  /** The workspace on disk. */
  readonly folder: string;
  /** The folder that the extension was installed into. */
  readonly extension: string;
  /** Errors that pages threw, with their text. */
  readonly pageErrors: readonly string[];
  /** Saves what is seen as test-output/screenshots/NAME.png. */
  readonly screenshot: (name: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** The VS Code that UI tests run in: RANKSCOPE_VSCODE, or the newest. */
export const testedRelease = (process.env.RANKSCOPE_VSCODE ?? 'newest') as Release;

interface VscodeOptions extends Omit<ServerOptions, 'extensions' | 'release'> {
  /**
   * Changes the copy of the sample before it is opened: the Explorer does not hear of files that come while it is
   * loading.
   */
  readonly prepare?: (folder: string) => void;
}

/** The folder that the `.vsix` is installed into once for all servers of this process; it takes seconds each time. */
let installed: Promise<string> | undefined;

async function installedExtensions(): Promise<string> {
  const extensions = mkdtempSync(join(os.tmpdir(), 'rankscope-extensions-'));
  process.once('exit', () => rmSync(extensions, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }));
  await installVsix(packedVsix(), extensions, testedRelease);
  return extensions;
}

/** Installs the `.vsix` that `npm run package` made, and opens it on a copy of the sample. */
export async function openVscode({ prepare, ...options }: VscodeOptions = {}): Promise<Vscode> {
  const workspace = temporarySample();
  prepare?.(workspace.folder);
  const ends: (() => unknown)[] = [workspace.remove];
  const close = async () => {
    for (const end of ends.toReversed()) await end();
  };
  try {
    installed ??= installedExtensions();
    const extensions = await installed;
    const server = await startServer({ ...options, extensions, release: testedRelease });
    ends.push(server.stop);
    const { browser, page } = await openBrowser();
    ends.push(() => browser.close());
    const pageErrors: string[] = [];
    page.on('pageerror', (error) => pageErrors.push(String(error)));
    await page.goto(workbenchUrl(server, workspace.folder));
    await page.locator('.explorer-folders-view [role=treeitem]').first().waitFor({ timeout: 90_000 });
    const name = readdirSync(extensions).find((each) => each.startsWith('rankscope.rankscope-'));
    const extension = join(extensions, name ?? '');
    return {
      page,
      extension,
      folder: workspace.folder,
      pageErrors,
      screenshot: (name) => screenshot(page, name),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function screenshot(page: Page, name: string): Promise<void> {
  mkdirSync('test-output/screenshots', { recursive: true });
  const release = testedRelease === 'newest' ? '' : `-${RELEASES[testedRelease]}`;
  await page.screenshot({ path: `test-output/screenshots/${name}${release}.png` });
}

/** The package of this platform and version. */
function packedVsix(): string {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
  const vsix = process.env.RANKSCOPE_VSIX ?? `rankscope-${thisTarget}-${version}.vsix`;
  if (!existsSync(vsix)) throw new Error(`${vsix} is missing: run npm run package (npm test does)`);
  return vsix;
}
