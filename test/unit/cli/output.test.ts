import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { cacheFolder } from '../../../src/cli/cacheFolder.ts';
import { jsonPieces, writeTextFile } from '../../../src/cli/output.ts';
import { duration, lineOf } from '../../../src/cli/progressBar.ts';
import { digits, shorten, shortNames, table } from '../../../src/cli/table.ts';

describe('the pieces of a JSON text', () => {
  it('join to the object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
        assert.deepEqual(JSON.parse([...jsonPieces(object)].join('')), JSON.parse(JSON.stringify(object)));
      }),
    );
  });

  it('omit undefined members, and hold at most one element of a list', () => {
    const pieces = [...jsonPieces({ a: undefined, list: Array(1000).fill('x'.repeat(10)) })];
    assert.deepEqual(JSON.parse(pieces.join('')), { list: Array(1000).fill('x'.repeat(10)) });
    assert.ok(pieces.every((piece) => piece.length < 20));
  });
});

describe('a file that is written whole', () => {
  let folder: string;
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'rankscope-out-'))));
  afterEach(() => rm(folder, { recursive: true }));

  it('contains all pieces, and leaves nothing else in the folder', async () => {
    await writeTextFile(join(folder, 'out.json'), ['a', 'b'], { force: false });
    assert.equal(await readFile(join(folder, 'out.json'), 'utf8'), 'ab');
    assert.deepEqual(await readdir(folder), ['out.json']);
  });

  it('never replaces another file unless told to', async () => {
    const file = join(folder, 'out.json');
    await writeFile(file, 'mine');
    await assert.rejects(writeTextFile(file, ['new'], { force: false }), { code: 'wrong-use', message: /--force/ });
    assert.equal(await readFile(file, 'utf8'), 'mine');
    await writeTextFile(file, ['new'], { force: true });
    assert.equal(await readFile(file, 'utf8'), 'new');
  });

  it('keeps the old state after a failure midway', async () => {
    const file = join(folder, 'out.json');
    await writeFile(file, 'mine');
    function* failing() {
      yield 'x'.repeat(100_000);
      throw new Error('no more');
    }
    await assert.rejects(writeTextFile(file, failing(), { force: true }), { code: 'write-failed' });
    assert.equal(await readFile(file, 'utf8'), 'mine');
    assert.deepEqual(await readdir(folder), ['out.json']);
  });

  it('leaves nothing behind after a cancellation', async () => {
    const options = { force: true, signal: AbortSignal.abort() };
    await assert.rejects(writeTextFile(join(folder, 'out.json'), ['x'], options), { code: 'cancelled' });
    assert.deepEqual(await readdir(folder), []);
  });
});

describe('what a terminal shows', () => {
  it('limits a table to 100 columns, whatever the names', () => {
    const rows = [
      [`model.layers.31.${'very.long.'.repeat(20)}q_proj.weight`, '4096x4096', '1234.5'],
      ['short', '1x1', '1'],
    ];
    const lines = [...table(['matrix', 'shape', 'rank'], rows)];
    assert.ok(lines.every((line) => line.trimEnd().length <= 100));
    assert.equal(new Set(lines.map((line) => line.length)).size, 1);
    assert.match(lines[1] ?? '', /^model\.layers.*….*q_proj\.weight/);
  });

  it('widens a table where shorter names would be the same', () => {
    const name = (layer: number) => `${'encoder.'.repeat(12)}${layer}.${'attention.'.repeat(12)}query`;
    const lines = [
      ...table(
        ['matrix', 'rank'],
        [0, 1].map((layer) => [name(layer), '7']),
      ),
    ];
    assert.equal(new Set(lines.slice(1)).size, 2);
    const [, alike] = [...table(['matrix', 'rank'], [[name(0), '7']])];
    assert.ok(alike!.length <= 101);
  });

  it('keeps both ends and the width when shortening', () => {
    assert.equal(shorten('abcdefghij', 10), 'abcdefghij');
    assert.equal(shorten('abcdefghij', 6), 'ab…hij');
  });

  it('drops the common prefix of names, and nothing that distinguishes them', () => {
    assert.deepEqual(shortNames(['model.layers.0.q.weight', 'model.embed.weight']), ['layers.0.q', 'embed']);
    assert.deepEqual(shortNames(['a.b.weight', 'c.weight']), ['a.b', 'c']);
    assert.deepEqual(shortNames(['w.0.weight', 'w.0.bias']), ['weight', 'bias']);
    assert.deepEqual(shortNames(['only.one.weight']), ['only.one']);
    assert.deepEqual(shortNames(['a.w.weight[0]', 'a.v.weight[1]']), ['w[0]', 'v[1]']);
  });

  it('formats numbers readably', () => {
    assert.deepEqual([digits(12), digits(1 / 3), digits(1e-9), digits(null)], ['12', '0.3333', '1.00e-9', '-']);
    assert.deepEqual([duration(3.2), duration(61), duration(7200)], ['4 s', '2 min', '2.0 h']);
  });

  it('shows how far, what and how long in the progress line', () => {
    const line = lineOf({ done: 12, total: 24, message: 'layers.3.wq', secondsLeft: 9.5 });
    assert.match(line, /^█{12}░{12} 12\/24 {2}layers\.3\.wq {2}10 s left$/);
    assert.equal(lineOf({ done: 0, total: 0, message: 'Engine: cpu' }), 'Engine: cpu');
  });
});

describe('the cache folder', () => {
  it('follows XDG, but not a relative XDG path', () => {
    assert.equal(cacheFolder({ XDG_CACHE_HOME: '/x' }, 'linux', '/home/a'), '/x/rankscope');
    assert.equal(cacheFolder({ XDG_CACHE_HOME: 'x' }, 'linux', '/home/a'), '/home/a/.cache/rankscope');
    assert.equal(cacheFolder({}, 'darwin', '/Users/a'), '/Users/a/Library/Caches/rankscope');
    assert.equal(cacheFolder({ LOCALAPPDATA: '/l' }, 'win32', '/h'), '/l/rankscope/Cache');
  });
});
