import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeWhole, writeWholeIn } from '../../../src/files/wholeFile.ts';

describe('writing a file whole', () => {
  let folder: string;
  let target: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rankscope-whole-'));
    target = join(folder, 'result');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('appends bytes and text in order and leaves nothing else in the folder', async () => {
    await writeWhole(target, { overwrite: false }, async (append) => {
      await append('ä');
      await append(Uint8Array.of(0x62));
    });
    assert.equal(await readFile(target, 'utf8'), 'äb');
    assert.deepEqual(await readdir(folder), ['result']);
  });

  it('keeps the old file, and only it, when the writer of the content fails', async () => {
    await writeFile(target, 'old');
    const failing = writeWhole(target, { overwrite: true }, async (append) => {
      await append('new');
      throw new Error('interrupted');
    });
    await assert.rejects(failing, /interrupted/);
    assert.equal(await readFile(target, 'utf8'), 'old');
    assert.deepEqual(await readdir(folder), ['result']);
  });

  it('lets the first of several writers have a name that may not be replaced', async () => {
    const writers = Array.from({ length: 8 }, (_, index) =>
      writeWhole(target, { overwrite: false }, (append) => append(String(index))),
    );
    const outcomes = await Promise.allSettled(writers);
    const winners = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [String(index)] : []));
    assert.deepEqual([await readFile(target, 'utf8')], winners);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'wrong-use');
    }
    assert.deepEqual(await readdir(folder), ['result']);
  });

  it('leaves one whole file when several writers replace each other', async () => {
    const texts = Array.from({ length: 8 }, (_, index) => String(index).repeat(100_000));
    await Promise.all(texts.map((text) => writeWhole(target, { overwrite: true }, (append) => append(text))));
    assert.ok(texts.includes(await readFile(target, 'utf8')));
    assert.deepEqual(await readdir(folder), ['result']);
  });

  it('follows a symbolic link', async () => {
    await writeFile(target, 'old');
    await symlink('result', join(folder, 'link'));
    await writeWhole(join(folder, 'link'), { overwrite: true }, (append) => append('new'));
    assert.equal(await readFile(target, 'utf8'), 'new');
  });

  it('makes a missing folder only on request', async () => {
    const deep = join(folder, 'a', 'b', 'result');
    const fill = (append: (text: string) => Promise<void>) => append('x');
    await assert.rejects(writeWhole(deep, { overwrite: false }, fill), {
      code: 'write-failed',
      found: /no such folder/,
    });
    await writeWholeIn(deep, { overwrite: false }, fill);
    assert.equal(await readFile(deep, 'utf8'), 'x');
  });
});
