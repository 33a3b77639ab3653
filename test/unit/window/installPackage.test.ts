import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installPackage } from '../../../src/window/engine/installPackage.ts';

describe('installing an engine with npm', function () {
  this.timeout(60_000);
  let root = '';
  const lines: string[] = [];
  const options = (signal = new AbortController().signal) => ({ signal, line: (text: string) => lines.push(text) });
  const packageWith = (scripts: Record<string, string>) => {
    const folder = join(root, 'package');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'an-engine', version: '1.0.0', scripts }));
    return folder;
  };

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'rankscope-install-'));
    lines.length = 0;
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('installs the package into its folder and reports the output of npm', async () => {
    const target = join(root, 'target');
    await installPackage(target, packageWith({}), options());
    assert.ok(existsSync(join(target, 'node_modules/an-engine/package.json')));
    assert.match(lines.join('\n'), /added 1 package/);
  });

  it('removes an earlier installation, and the whole folder when npm fails', async () => {
    const target = join(root, 'target');
    mkdirSync(target);
    writeFileSync(join(target, 'old'), '');
    await assert.rejects(installPackage(target, join(root, 'nothing'), options()), {
      code: 'engine',
      found: /exit code [1-9]/,
    });
    assert.ok(!existsSync(target));
  });

  it('kills npm and its child processes on cancellation', async () => {
    const target = join(root, 'target');
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 300);
    const slow = packageWith({ preinstall: 'sleep 50' });
    const start = Date.now();
    await assert.rejects(installPackage(target, slow, options(abort.signal)), { code: 'cancelled' });
    assert.ok(Date.now() - start < 30_000);
    assert.ok(!existsSync(target));
  });

  it('says that npm is missing', async () => {
    const installing = installPackage(join(root, 'target'), packageWith({}), {
      ...options(),
      npm: 'npm-that-is-not-there',
    });
    await assert.rejects(installing, { code: 'not-found', subject: 'npm' });
  });
});
