import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { type CacheEntry, diskCache, noCache } from '../../../src/service/cache/cache.ts';
import { memoryCache } from '../../../src/service/cache/memoryCache.ts';
import { measures } from '../../../src/spectrum/measures.ts';

const key = (index: number) => index.toString(16).padStart(64, '0');

function entryOf(values: readonly number[]): CacheEntry {
  const singularValues = Float64Array.from(values);
  return { measures: measures(singularValues, [values.length, values.length], 1), seconds: 0.25, singularValues };
}

describe('the cache on disk', () => {
  let folder: string;
  let lines: string[];
  const open = (maxBytes = 2 ** 20) => diskCache(folder, maxBytes, (line) => lines.push(line));
  const files = async () => (await readdir(folder, { recursive: true })).filter((name) => name.includes('.')).sort();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rankscope-cache-'));
    lines = [];
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('returns every bit of an entry to another process', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.double({ noNaN: true }), { maxLength: 9 }), async (values) => {
        const entry = { ...entryOf([3, 2, 1]), singularValues: Float64Array.from(values) };
        await open().put(key(1), entry);
        assert.deepEqual(await open().get(key(1)), entry);
      }),
      { numRuns: 50 },
    );
  });

  it('keeps bands, and null for measures without a value', async () => {
    const band = {
      energyRanks: { '0.9': [1, 2], '0.95': [2, 3], '0.99': [3, 3], '0.999': [3, 4] },
      effectiveRank: [1.5, 2.5],
      effectiveRankEnergy: [1, 2],
      stableRank: [1, 1.25],
    } as const;
    const entry = { ...entryOf([]), band };
    assert.equal(entry.measures.alpha, null);
    await open().put(key(2), entry);
    assert.deepEqual(await open().get(key(2)), entry);
  });

  it('returns nothing for unknown keys', async () => {
    await open().put(key(1), entryOf([1]));
    assert.equal(await open().get(key(2)), undefined);
  });

  it('removes an entry damaged at any byte or truncated, with a warning', async () => {
    const entry = entryOf([5, 4, 3]);
    await open().put(key(1), entry);
    const [name = ''] = await files();
    const file = join(folder, name);
    const whole = await readFile(file);
    const damaged = [
      whole.subarray(0, whole.length - 1),
      whole.subarray(0, 10),
      Buffer.alloc(0),
      ...Array.from({ length: whole.length }, (_, at) => {
        const bytes = Buffer.from(whole);
        bytes[at] = (bytes[at] ?? 0) ^ 0x40;
        return bytes;
      }),
    ];
    for (const bytes of damaged) {
      await writeFile(file, bytes);
      assert.equal(await open().get(key(1)), undefined);
      await assert.rejects(stat(file));
    }
    assert.equal(lines.length, damaged.length);
    assert.match(lines[0] ?? '', /damaged/);
  });

  it('stays below its bound by dropping the least recently used entries', async () => {
    const one = entryOf(Array.from({ length: 100 }, (_, i) => 100 - i));
    await open().put(key(0), one);
    const { size } = await stat(join(folder, (await files())[0] ?? ''));
    const cache = open(size * 10);
    const past = new Date(Date.now() - 10_000);
    await utimes(join(folder, (await files())[0] ?? ''), past, past);
    for (let i = 1; i <= 30; i++) await cache.put(key(i), one);
    const kept = (await files()).length;
    assert.ok(kept <= 10 && kept >= 5, `${kept} entries`);
    assert.equal(await open().get(key(0)), undefined);
    assert.notEqual(await open().get(key(30)), undefined);
  });

  it('counts reading an entry as use', async () => {
    const one = entryOf([1, 1]);
    for (let i = 0; i < 4; i++) await open().put(key(i), one);
    const past = new Date(Date.now() - 60_000);
    for (const name of await files()) await utimes(join(folder, name), past, past);
    await open().get(key(2));
    const { size } = await stat(join(folder, (await files())[0] ?? ''));
    await open(size * 3).put(key(9), one);
    assert.notEqual(await open().get(key(2)), undefined);
  });

  it('keeps one complete entry and no temporary file after concurrent writes of one key', async () => {
    const caches = Array.from({ length: 8 }, () => open());
    await Promise.all(caches.map((cache, i) => cache.put(key(5), entryOf([i + 1]))));
    assert.equal((await files()).length, 1);
    const entry = await open().get(key(5));
    assert.ok(entry && entry.singularValues[0]! >= 1 && entry.singularValues[0]! <= 8);
    assert.deepEqual(lines, []);
  });

  it('frees the bytes of its entries when cleared, and touches nothing else', async () => {
    const cache = open();
    await cache.put(key(1), entryOf([2, 1]));
    await writeFile(join(folder, 'notes.txt'), 'mine');
    const { size } = await stat(join(folder, (await files()).find((name) => name.endsWith('.spectrum')) ?? ''));
    assert.deepEqual(await cache.clear(), { bytes: size });
    assert.deepEqual(await files(), ['notes.txt']);
    assert.equal(await cache.get(key(1)), undefined);
  });

  it('warns once about a folder that cannot be written, and loses no result', async () => {
    // A file in the way stops root as well, whom permissions do not.
    await rm(folder, { recursive: true });
    await writeFile(folder, 'not a folder');
    const cache = open();
    for (let i = 0; i < 3; i++) await cache.put(key(i), entryOf([i + 1]));
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /cannot be written/);
    assert.equal(await cache.get(key(1)), undefined);
  });

  it('reads entries from a read-only folder', async function () {
    if (process.getuid?.() === 0) {
      console.log('      skipped: permissions do not bind root');
      this.skip();
    }
    await open().put(key(1), entryOf([1]));
    await mkdir(join(folder, 'ff'), { recursive: true });
    await chmod(join(folder, '00'), 0o555);
    assert.deepEqual(await open().get(key(1)), entryOf([1]));
  });
});

describe('the cache in memory', () => {
  it('returns entries without asking the slow cache, and forgets the least recently used', async () => {
    const asked: string[] = [];
    const cache = memoryCache({ ...noCache, get: async (key) => void asked.push(key) }, 3 * (8 + 1024));
    for (const key of ['a', 'b', 'c']) await cache.put(key, entryOf([1]));
    assert.deepEqual(await cache.get('a'), entryOf([1]));
    await cache.put('d', entryOf([1]));
    assert.notEqual(await cache.get('a'), undefined);
    assert.equal(await cache.get('b'), undefined);
    assert.deepEqual(asked, ['b']);
  });

  it('keeps entries of the slow cache, and is cleared with it', async () => {
    let asked = 0;
    const cache = memoryCache({
      get: async () => (asked++ === 0 ? entryOf([2]) : undefined),
      put: async () => undefined,
      clear: async () => ({ bytes: 7 }),
    });
    assert.deepEqual([await cache.get('a'), await cache.get('a')], [entryOf([2]), entryOf([2])]);
    assert.equal(asked, 1);
    assert.deepEqual(await cache.clear(), { bytes: 7 });
    assert.equal(await cache.get('a'), undefined);
  });
});
