import assert from 'node:assert/strict';
import { Allowance } from '../../../src/bytes/allowance.ts';
import { memorySource } from '../../../src/bytes/source/memorySource.ts';
import { openZip } from '../../../src/bytes/zip/archive.ts';
import { rejectsWith } from '../formats/rejectsWith.ts';
import { zipBytes } from '../formats/zipBytes.ts';

const open = (bytes: Uint8Array) => openZip(memorySource('a.zip', bytes), undefined, new Allowance('a.zip'));
const text = (value: string) => new Uint8Array(Buffer.from(value));

/** Byte offset of the nth occurrence of a record's signature. */
function find(bytes: Buffer, signature: string, nth = 0): number {
  let at = bytes.indexOf(signature, 0, 'latin1');
  for (let i = 0; i < nth; i++) at = bytes.indexOf(signature, at + 1, 'latin1');
  assert.ok(at >= 0);
  return at;
}
const DIRECTORY = 'PK\x01\x02';
const END = 'PK\x05\x06';

describe('a zip archive', () => {
  it('returns stored and deflated files, as a whole and in ranges in any order', async () => {
    const long = text(Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join(''));
    for (const level of [0, 6] as const) {
      const archive = await open(zipBytes({ 'a/long': long, 'a/short': text('short') }, level));
      assert.deepEqual([...archive.entries.keys()], ['a/long', 'a/short']);
      const source = await archive.open('a/long');
      assert.equal(source.size, long.length);
      for (const [at, length] of [
        [0, 10],
        [100_000, 50],
        [30, 70_000],
        [long.length - 3, 3],
        [5, 0],
      ] as const)
        assert.deepEqual(await source.read(at, length), long.slice(at, at + length), `${level} ${at}`);
      const together = await Promise.all([source.read(50_000, 9), source.read(10, 9), source.read(80_000, 9)]);
      assert.deepEqual(together, [long.slice(50_000, 50_009), long.slice(10, 19), long.slice(80_000, 80_009)]);
      assert.equal(await archive.text('a/short'), 'short');
      assert.equal(await archive.text('a/none'), undefined);
      await source.close();
    }
  });

  it('may have no entries', async () => {
    assert.equal((await open(zipBytes({}))).entries.size, 0);
  });

  it('may have zip64 sizes', async () => {
    const plain = zipBytes({ name: text('content') });
    const directory = find(plain, DIRECTORY);
    const entry = Buffer.from(plain.subarray(directory, find(plain, END)));
    const extra = Buffer.alloc(28);
    extra.writeUInt16LE(1, 0);
    extra.writeUInt16LE(24, 2);
    extra.writeBigUInt64LE(7n, 4);
    extra.writeBigUInt64LE(7n, 12);
    extra.writeBigUInt64LE(0n, 20);
    entry.fill(0xff, 20, 28);
    entry.writeUInt16LE(28, 30);
    entry.fill(0xff, 42, 46);
    const end64 = Buffer.alloc(56);
    end64.write('PK\x06\x06', 'latin1');
    end64.writeBigUInt64LE(44n, 4);
    end64.writeBigUInt64LE(1n, 24);
    end64.writeBigUInt64LE(1n, 32);
    end64.writeBigUInt64LE(BigInt(entry.length + 28), 40);
    end64.writeBigUInt64LE(BigInt(directory), 48);
    const locator = Buffer.alloc(20);
    locator.write('PK\x06\x07', 'latin1');
    locator.writeBigUInt64LE(BigInt(directory + entry.length + 28), 8);
    locator.writeUInt32LE(1, 16);
    const end = Buffer.from(plain.subarray(find(plain, END)));
    end.fill(0xff, 8, 20);
    const archive = await open(Buffer.concat([plain.subarray(0, directory), entry, extra, end64, locator, end]));
    assert.equal(await archive.text('name'), 'content');
  });

  const two = () => zipBytes({ one: text('11111111'), two: text('22222222') });
  const edit = (change: (bytes: Buffer) => void) => {
    const bytes = two();
    change(bytes);
    return bytes;
  };
  const refused: Record<string, readonly [bytes: () => Buffer, says: RegExp]> = {
    'if it is cut off': [() => two().subarray(0, 100), /without its directory/],
    'if it follows another archive': [
      () => Buffer.concat([zipBytes({ hidden: text('x') }), two()]),
      /directory|before its first/,
    ],
    'with a second end record': [
      () => {
        const bytes = two();
        const end = find(bytes, END);
        // The first record's comment is the second record.
        const first = Buffer.from(bytes.subarray(end));
        first.writeUInt16LE(22, 20);
        return Buffer.concat([bytes.subarray(0, end), first, bytes.subarray(end)]);
      },
      /two central directories/,
    ],
    'with two entries at one offset': [
      () => edit((bytes) => bytes.writeUInt32LE(0, find(bytes, DIRECTORY, 1) + 42)),
      /overlaps/,
    ],
    'with overlapping entries': [
      () =>
        edit((bytes) => {
          bytes.writeUInt32LE(20, find(bytes, DIRECTORY) + 20);
          bytes.writeUInt32LE(20, find(bytes, DIRECTORY) + 24);
        }),
      /overlaps/,
    ],
    'with two entries of the same name': [
      () => edit((bytes) => bytes.write('one', find(bytes, DIRECTORY, 1) + 46)),
      /two entries one/,
    ],
    'with fewer entries than it announces': [
      () => edit((bytes) => bytes.writeUInt16LE(3, find(bytes, END) + 10)),
      /announces 3/,
    ],
    'with an encrypted entry': [() => edit((bytes) => bytes.writeUInt16LE(1, find(bytes, DIRECTORY) + 8)), /encrypted/],
    'with an entry that claims to expand beyond what deflate can do': [
      () => {
        const bytes = zipBytes({ bomb: new Uint8Array(1000) }, 6);
        bytes.writeUInt32LE(0xfffffff0, find(bytes, DIRECTORY) + 24);
        return bytes;
      },
      /claims to hold 4294967280/,
    ],
    'with an entry named ../x': [() => zipBytes({ '../x': text('1') }), /leads out/],
    'with an entry named /x': [() => zipBytes({ '/x': text('1') }), /leads out/],
    'with an entry named c:\\x': [() => zipBytes({ 'c:\\x': text('1') }), /leads out/],
  };
  for (const [what, [bytes, says]] of Object.entries(refused))
    it(`is refused ${what}`, async () => {
      const code = what === 'with an encrypted entry' ? 'unsupported' : 'malformed';
      await rejectsWith(open(bytes()), code, /a\.zip/, says);
    });

  it('is refused on reading if the name in the header of an entry differs from the directory', async () => {
    const archive = await open(edit((bytes) => bytes.write('eno', 30)));
    await rejectsWith(archive.open('one'), 'malformed', /another name/);
  });

  it('is refused on reading if its deflated data is broken or too short', async () => {
    const bytes = zipBytes(
      { a: text(Array.from({ length: 500 }, (_, i) => String.fromCharCode(97 + ((i * i * 7) % 26))).join('')) },
      6,
    );
    const broken = Buffer.from(bytes);
    broken.fill(0xff, 31, 40);
    await rejectsWith((await (await open(broken)).open('a')).read(0, 500), 'malformed', /cannot be decompressed/);
    const short = Buffer.from(bytes);
    short.writeUInt32LE(600, find(short, DIRECTORY) + 24);
    await rejectsWith((await (await open(short)).open('a')).read(0, 600), 'malformed', /ends after 500 of 600/);
  });
});
