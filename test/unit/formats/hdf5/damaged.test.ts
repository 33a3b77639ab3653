import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { elementCount } from '../../../../src/base/shape.ts';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { testFolder } from '../folder.ts';
import { rejectsWith } from '../rejectsWith.ts';
import { sharedNameFile } from './bomb.ts';
import { reseal, type Seal, sealsOf } from './seals.ts';

const FOLDER = new URL('../../../fixtures/hdf5/structures/', import.meta.url);
/** Offset of the end of the file in a superblock of version 2 or 3 with 8-byte addresses. */
const END_OF_FILE = 28;

const fixture = (name: string) => new Uint8Array(readFileSync(new URL(name, FOLDER)));
const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const signatureOf = (bytes: Uint8Array, { offset }: Seal) =>
  Buffer.from(bytes.subarray(offset, offset + 4)).toString('latin1');

async function readWhole(path: string): Promise<void> {
  const checkpoint = await openCheckpoint(path);
  try {
    for (const tensor of checkpoint.tensors) {
      const count = elementCount(tensor.shape);
      if (/^[FIU]\d/.test(tensor.dtype)) await tensor.read(0, new Float32Array(count));
    }
  } finally {
    await checkpoint.close();
  }
}

describe('a damaged HDF5 file', () => {
  const folder = testFolder();
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.h5') && name !== 'refused.h5');
  const read = (bytes: Uint8Array) => readWhole(folder.write('damaged.h5', bytes));

  /** A fixture in which part of one structure is changed and its checksum corrected. */
  async function changed(name: string, signature: string, change: (view: DataView, seal: Seal) => void, nth = 0) {
    const bytes = fixture(name);
    const seals = await sealsOf(bytes);
    const seal = seals.filter((each) => signatureOf(bytes, each) === signature)[nth]!;
    change(viewOf(bytes), seal);
    return reseal(bytes, [seal]);
  }

  it('is refused if any structure does not match its checksum', async () => {
    const kinds = new Set<string>();
    for (const name of names) {
      const whole = fixture(name);
      for (const seal of twoOfEachKind(whole, await sealsOf(whole))) {
        kinds.add(signatureOf(whole, seal));
        const bytes = whole.slice();
        const { offset, length, checksum } = seal;
        const last = checksum + 4 === length ? checksum - 1 : length - 1;
        bytes[offset + last]! ^= 0x10;
        await rejectsWith(read(bytes), 'malformed', /does not match its checksum/);
      }
    }
    const all = 'BTHD BTIN BTLF FRHP FHIB FHDB OHDR OCHK FAHD FADB EAHD EAIB EASB EADB'.split(' ');
    assert.deepEqual(
      all.filter((kind) => !kinds.has(kind)),
      [],
    );
  }).timeout(60_000);

  it('is refused if values do not match their checksum', async () => {
    const bytes = fixture('filters.h5');
    // "checked" is stored as it is, with a checksum behind each chunk of 9 numbers: its chunks are of 40 bytes.
    const checkpoint = await openCheckpoint(folder.write('whole.h5', bytes));
    const tensor = checkpoint.tensors.find((each) => each.name === 'checked')!;
    const values = new Float32Array(9);
    await tensor.read(0, values);
    await checkpoint.close();
    const at = Buffer.from(bytes).indexOf(Buffer.from(values.buffer));
    assert.ok(at > 0);
    bytes[at + 5]! ^= 1;
    await rejectsWith(read(bytes), 'malformed', /a chunk does not match its checksum/);
  });

  it('is refused if it ends between two structures, whatever its superblock states', async () => {
    for (const name of names.filter((each) => each !== 'narrow.h5')) {
      const whole = fixture(name);
      const seals = await sealsOf(whole);
      const superblock = seals.filter(({ offset }) => offset === 0);
      for (const { offset, length } of twoOfEachKind(whole, seals).filter((each) => each.offset > 0))
        for (const end of [offset, offset + 4, offset + length - 1]) {
          await rejectsWith(read(whole.slice(0, end)), 'malformed', /should have \d+ bytes/);
          const cut = whole.slice(0, end);
          viewOf(cut).setBigUint64(END_OF_FILE, BigInt(end), true);
          await rejectsWith(read(reseal(cut, superblock)), 'malformed', /damaged\.h5/);
        }
    }
  }).timeout(60_000);

  it('is refused if a header continues in itself', async () => {
    // The first message of a continuation (its kind, length and flags, then the body) becomes one that leads to that
    // continuation.
    const bytes = await changed('continued.h5', 'OCHK', (view, { offset, length }) => {
      view.setUint8(offset + 4, 0x10);
      view.setBigUint64(offset + 8, BigInt(offset), true);
      view.setBigUint64(offset + 16, BigInt(length), true);
    });
    await rejectsWith(read(bytes), 'malformed', /continues in itself/);
  });

  it('is refused if a B-tree leads to the same node twice', async () => {
    // A node above two leaves: one record, then an 8-byte address and a count for each leaf.
    const bytes = await changed('denseGroup.h5', 'BTIN', (view, { offset }) => {
      const [first, second] = [offset + 6 + 11, offset + 6 + 11 + 9];
      view.setBigUint64(second, view.getBigUint64(first, true), true);
      view.setUint8(second + 8, view.getUint8(first + 8));
    });
    await rejectsWith(read(bytes), 'malformed', /B-tree (points back into itself|holds|has a node)/);
  });

  it('is refused if a B-tree does not hold the number of records that it states', async () => {
    const bytes = await changed('denseGroup.h5', 'BTHD', (view, { offset }) =>
      view.setBigUint64(offset + 26, 62n, true),
    );
    await rejectsWith(read(bytes), 'malformed', /holds 61 records, but its header states 62/);
  });

  it('is refused if an indirect block of a heap leads to itself', async () => {
    const bytes = await changed('denseGroup.h5', 'FHIB', (view, { offset }) => {
      const first = offset + 17;
      for (let i = 0; i < 8; i++) view.setBigUint64(first + 8 * i, BigInt(offset), true);
    });
    await rejectsWith(read(bytes), 'malformed', /a block of a heap/);
  });

  it('takes no memory for a dataset that claims an implausible number of chunks', async () => {
    const whole = fixture('extensibleArray.h5');
    const seals = await sealsOf(whole);
    // An unlimited dimension of 2000 becomes one of 2^45.
    const sizes = Buffer.alloc(16, 0xff);
    sizes.writeBigUInt64LE(2000n);
    const at = Buffer.from(whole).indexOf(sizes);
    viewOf(whole).setBigUint64(at, 2n ** 45n, true);
    const checkpoint = await openCheckpoint(folder.write('vast.h5', reseal(whole, seals)));
    const vast = checkpoint.tensors.find(({ shape }) => shape[0] === 2 ** 45)!;
    const before = process.memoryUsage().rss;
    await rejectsWith(vast.read(0, new Float32Array(1)), 'too-large', /35184372088832 chunks/);
    assert.ok(process.memoryUsage().rss - before < 32 << 20);
    await checkpoint.close();
  });

  it('is refused before thousands of links that share one long name take memory', async () => {
    const before = process.memoryUsage().rss;
    await rejectsWith(read(sharedNameFile(60_000, 60_000)), 'too-large', /takes more than/);
    assert.ok(process.memoryUsage().rss - before < 200 << 20);
    await readWhole(folder.write('few.h5', sharedNameFile(3, 5)));
  });
});

/** The first and the last one; the structures between them have the same layout. */
function twoOfEachKind(bytes: Uint8Array, seals: readonly Seal[]): Seal[] {
  const kinds = [...new Set(seals.map((seal) => signatureOf(bytes, seal)))];
  return kinds.flatMap((kind) => {
    const own = seals.filter((seal) => signatureOf(bytes, seal) === kind);
    return [...new Set([own[0]!, own.at(-1)!])];
  });
}
