import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { delimiter, relative } from 'node:path';
import { findNode } from '../../../src/window/engine/runtimes.ts';
import { testFolder } from '../formats/folder.ts';

describe('the search for a node on the PATH', () => {
  const folder = testFolder();
  const find = (...entries: string[]) => findNode(entries.join(delimiter), process.platform, [folder.path('open')]);

  beforeEach(function () {
    if (process.platform === 'win32') this.skip();
    mkdirSync(folder.path('open'), { recursive: true });
  });

  /** A program that says which version it is, and leaves a trace when it is run. */
  function node(place: string, version: string): string {
    const path = folder.write(`${place}/node`, `#!/bin/sh\necho ran > "${folder.path('trace')}"\necho ${version}\n`);
    chmodSync(path, 0o755);
    return path;
  }

  it('takes the first that answers', async () => {
    node('broken', 'oops');
    const path = node('good', 'v24.1.0');
    node('later', 'v22.0.0');
    const found = await find(folder.path('none'), folder.path('broken'), folder.path('good'), folder.path('later'));
    assert.deepEqual(found, { path, major: 24 });
    assert.equal(await find(), undefined);
    assert.equal(await findNode(undefined, process.platform, []), undefined);
  });

  it('runs none that an open folder holds or leads to, nor one of a relative entry', async () => {
    node('open/bin', 'v24.0.0');
    symlinkSync(folder.path('open/bin'), folder.path('linkedFolder'));
    mkdirSync(folder.path('linkedFile'));
    symlinkSync(folder.path('open/bin/node'), folder.path('linkedFile/node'));
    node('outside', 'v24.0.0');
    symlinkSync(folder.path('outside'), folder.path('open/wayOut'));
    const traps = ['open/bin', 'open/../open/bin', 'linkedFolder', 'linkedFile', 'open/wayOut'];
    const relativeEntries = ['', '.', relative(process.cwd(), folder.path('outside'))];
    assert.equal(await find(...traps.map((trap) => folder.path(trap)), ...relativeEntries), undefined);
    assert.ok(!existsSync(folder.path('trace')));

    const path = node('good', 'v22.0.0');
    const found = await find(...traps.map((trap) => folder.path(trap)), folder.path('good'));
    assert.deepEqual(found, { path, major: 22 });
  });
});
