import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { openFileSource } from '../../../src/bytes/source/fileSource.ts';
import { testFolder } from '../formats/folder.ts';
import { rejectsWith } from '../formats/rejectsWith.ts';

describe('a file source', () => {
  const folder = testFolder();

  it('reads ranges, also into shared memory, and refuses ranges beyond the end', async () => {
    const source = await openFileSource(folder.write('a.bin', 'abcdefgh'));
    assert.equal(Buffer.from(await source.read(2, 3)).toString(), 'cde');
    const shared = new Uint8Array(new SharedArrayBuffer(2));
    await source.readInto(6, shared);
    assert.deepEqual([...shared], [0x67, 0x68]);
    for (const [offset, length] of [
      [6, 3],
      [2 ** 53, 1],
      [-1, 2],
      [9, 0],
      [0, 2 ** 52],
    ] as const)
      await rejectsWith(source.read(offset, length), 'malformed', /a\.bin/, /ends at 8/);
    await source.close();
  });

  const changes: Record<string, (path: string) => void> = {
    replaced: (path) => {
      writeFileSync(`${path}.new`, 'abcdefgh');
      renameSync(`${path}.new`, path);
    },
    truncated: (path) => truncateSync(path, 4),
    grown: (path) => writeFileSync(path, 'abcdefghi'),
    'rewritten in the same size': (path) => writeFileSync(path, 'ABCDEFGH'),
    deleted: (path) => rmSync(path),
  };
  for (const [change, apply] of Object.entries(changes))
    it(`reports that the file was ${change} after it was opened`, async () => {
      const path = folder.write('a.bin', 'abcdefgh');
      const source = await openFileSource(path);
      // File systems record times in steps of a few milliseconds.
      await new Promise((resolve) => setTimeout(resolve, 20));
      apply(path);
      await rejectsWith(source.read(0, 8), 'changed', /a\.bin/);
      await source.close();
    });

  it('refuses folders, pipes and devices by name, without waiting for them', async () => {
    await rejectsWith(openFileSource(folder.path('nothing')), 'not-found', /nothing/);
    await rejectsWith(openFileSource(folder.path()), 'unreadable', /folder/);
    symlinkSync('b', folder.path('a'));
    symlinkSync('a', folder.path('b'));
    await rejectsWith(openFileSource(folder.path('a')), 'unreadable', /circle/);
    if (process.platform === 'win32') return;
    execFileSync('mkfifo', [folder.path('pipe')]);
    await rejectsWith(openFileSource(folder.path('pipe')), 'unreadable', /pipe/);
    await rejectsWith(openFileSource('/dev/zero'), 'unreadable', /device/);
  });

  it('stops when it is cancelled', async () => {
    const source = await openFileSource(folder.write('a.bin', 'abcdefgh'));
    await rejectsWith(source.read(0, 8, AbortSignal.abort()), 'cancelled');
    await source.close();
  });
});
