// Runs the mocha suite of test/vscode inside the extension host of a real VS Code, on the sample workspace.
//   npx tsx test/host/integration.ts [newest|oldest] [--grep TEXT]
import { mkdirSync, writeFileSync } from 'node:fs';
import { format, stripVTControlCharacters } from 'node:util';
import { openBrowser, remoteUri, workbenchUrl } from '../../src/build/host/browser.ts';
import { temporarySample } from '../../src/build/host/sample.ts';
import { type Server, startServer } from '../../src/build/host/server.ts';
import { RELEASES, type Release } from '../../src/build/host/setup.ts';
import { SUITE_LINE } from './extensionHost.ts';
import { bundleSuite } from './suite.ts';

const LIMIT_MS = 300_000;

async function runSuite(release: Release, grep: string | undefined): Promise<number> {
  const suite = await bundleSuite();
  const workspace = temporarySample();
  const workbenchLog: string[] = [];
  let server: Server | undefined;
  let browser: Awaited<ReturnType<typeof openBrowser>> | undefined;
  try {
    server = await startServer({
      release,
      driver: true,
      environment: grep === undefined ? {} : { RANKSCOPE_TEST_GREP: grep },
    });
    browser = await openBrowser();
    const { page } = browser;
    const ended = new Promise<number>((resolve) => {
      const onExit = page.exposeFunction('codeAutomationExit', resolve);
      onExit.catch(() => resolve(1));
    });
    await page.exposeFunction('codeAutomationLog', (_type: string, parameters: unknown[]) => {
      const line = stripVTControlCharacters(format(...parameters));
      workbenchLog.push(line);
      if (line.startsWith(SUITE_LINE)) console.log(line.slice(SUITE_LINE.length));
    });
    await page.goto(
      workbenchUrl(server, workspace.folder, [
        ['extensionDevelopmentPath', remoteUri(server, process.cwd())],
        ['extensionTestsPath', remoteUri(server, suite)],
        ['skipWelcome', 'true'],
      ]),
    );
    const late = new Promise<'late'>((resolve) => setTimeout(resolve, LIMIT_MS, 'late').unref());
    const code = await Promise.race([ended, late]);
    if (code !== 'late') return code;
    mkdirSync('test-output/screenshots', { recursive: true });
    await page.screenshot({ path: 'test-output/screenshots/integration-late.png' });
    console.error(`The suite did not end in ${LIMIT_MS / 1000} s.`);
    return 1;
  } finally {
    await browser?.browser.close();
    mkdirSync('test-output/logs', { recursive: true });
    writeFileSync('test-output/logs/server.log', `${workbenchLog.join('\n')}\n\n${server?.log() ?? ''}`);
    await server?.stop();
    workspace.remove();
  }
}

const [release = 'newest', flag, grep] = process.argv.slice(2);
if (!(release in RELEASES)) throw new Error(`Unknown release ${release}; known: ${Object.keys(RELEASES).join(', ')}`);
process.exit(await runSuite(release as Release, flag === '--grep' ? grep : undefined));
