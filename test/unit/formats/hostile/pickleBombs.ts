import { legacyFile, op, pickle, tensor } from '../pickleBytes.ts';
import { tarFile } from '../tarBytes.ts';
import { torchZip, zipBytes } from '../zipBytes.ts';

/** Files by name; the first is opened. */
export type Bomb = () => Readonly<Record<string, Uint8Array>>;

const MB = 1 << 20;

/** `count` consecutive pieces of `size` bytes. */
export function repeated(count: number, size: number, write: (bytes: Buffer, at: number, i: number) => void): Buffer {
  const bytes = Buffer.alloc(count * size);
  for (let i = 0; i < count; i++) write(bytes, i * size, i);
  return bytes;
}

const same = (count: number, piece: Uint8Array) => Buffer.alloc(count * piece.length, piece);
const plain = (...content: Uint8Array[]) => ({ 'model.bin': pickle(...content) });
const W = tensor({ length: 6, shape: [2, 3], strides: [3, 1] });
const SIX = { 0: [1, 2, 3, 4, 5, 6] };

/** Pickles that build as much as they can of each kind of thing. */
export const PICKLE_BOMBS: Readonly<Record<string, Bomb>> = {
  'memo entries': () => plain(op.emptyList, Buffer.alloc(24 * MB, 0x94)),
  'memo keys far apart': () =>
    plain(
      op.emptyList,
      repeated(300_000, 5, (bytes, at, i) => {
        bytes[at] = 0x72;
        bytes.writeUInt32LE((i * 2_654_435_761) >>> 0, at + 1);
      }),
    ),
  'empty lists': () => plain(op.mark, Buffer.alloc(24 * MB, ']'), op.tuple),
  'empty tuples': () => plain(op.mark, Buffer.alloc(24 * MB, ')'), op.tuple),
  'empty dictionaries': () => plain(op.mark, Buffer.alloc(24 * MB, '}'), op.tuple),
  'dictionaries of one': () => plain(op.emptyList, op.mark, same(4_000_000, Buffer.from('}NNs')), op.appends),
  'lists of one': () => plain(op.mark, same(6_000_000, Buffer.from(']Na')), op.tuple),
  marks: () => plain(Buffer.alloc(24 * MB, '(')),
  'values pushed and dropped': () => plain(op.emptyList, same(12 * MB, Buffer.from('N0'))),
  'values recalled': () => plain(op.emptyList, op.put(0), same(12 * MB, op.get(0))),
  'short texts': () => plain(op.mark, same(8 * MB, Buffer.from([0x8c, 1, 97])), op.tuple),
  'a long text': () => plain(op.text('é'.repeat(12 * MB)), op.none),
  'escapes in a line': () => plain(op.emptyList, Buffer.from(`V${'\\u0416'.repeat(4_000_000)}\n`)),
  'escapes in quotes': () => plain(op.emptyList, Buffer.from(`S'${'\\x41'.repeat(6_000_000)}'\n`)),
  floats: () => plain(op.mark, same(3 * MB, Buffer.from([0x47, 1, 2, 3, 4, 5, 6, 7, 8])), op.tuple),
  'big whole numbers': () => plain(op.mark, same(2 * MB, Buffer.from([0x8a, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9])), op.tuple),
  'huge whole numbers': () =>
    plain(op.mark, same(20_000, Buffer.concat([Buffer.from([0x8b, 0, 4, 0, 0]), Buffer.alloc(1024, 7)])), op.tuple),
  'names to import': () =>
    plain(
      op.mark,
      repeated(200_000, 11, (bytes, at, i) => bytes.write(`cm\n${String(i).padStart(7, '0')}\n`, at, 'latin1')),
      op.tuple,
    ),
  'names with many dots': () =>
    plain(op.mark, ...Array.from({ length: 500 }, (_, i) => op.global(`m${i}`, 'a.'.repeat(60_000))), op.tuple),
  'calls of calls': () => plain(op.global('m', 'f'), same(12 * MB, Buffer.from(')R'))),
  references: () => plain(op.mark, same(12 * MB, Buffer.from('NQ')), op.tuple),
  'appended to an object': () =>
    plain(op.call('m', 'f'), same(2 * MB, Buffer.concat([op.mark, same(20, op.none), op.appends]))),
  'items of an object': () =>
    plain(
      op.call('m', 'f'),
      repeated(1_300_000, 7, (bytes, at, i) => {
        bytes.write('J', at);
        bytes.writeInt32LE(i, at + 1);
        bytes.write('Ns', at + 5);
      }),
    ),
  'one tensor under many names': () =>
    torchFile(
      op.emptyDict,
      W,
      op.put(1),
      Buffer.from('0'),
      op.mark,
      repeated(700_000, 12, (bytes, at, i) => {
        bytes[at] = 0x8c;
        bytes[at + 1] = 8;
        bytes.write(String(i).padStart(8, '0'), at + 2);
        bytes[at + 10] = 0x68;
        bytes[at + 11] = 1;
      }),
      op.setItems,
    ),
  tensors: () => torchFile(op.mark, same(120_000, W), op.tuple),
  'a tensor with a long name': () => torchFile(op.emptyDict, op.text('n'.repeat(24 * MB)), W, op.setItem),
  'a tensor of many dimensions': () =>
    torchFile(
      tensor({ length: 6, shape: Array<number>(1_000_000).fill(1), strides: Array<number>(1_000_000).fill(1) }),
    ),
  'nested names': () => {
    const levels = 50;
    const open = Buffer.concat([op.emptyDict, op.text('k'.repeat(60_000))]);
    return torchFile(
      same(levels, open),
      op.emptyDict,
      op.mark,
      ...manyOf(3000, W),
      op.setItems,
      Buffer.alloc(levels, 's'),
    );
  },
  'many megabytes in a small archive': () => ({
    'model.pt': torchZip(Buffer.concat([op.protocol(2), Buffer.alloc(24 * MB, ']')]), SIX, 1),
  }),
  'an archive that grows a thousandfold': () => ({ 'model.pt': torchZip(Buffer.alloc(24 * MB), SIX, 1) }),
  'pickles beside the pickle': () => ({
    'model.pt': zipBytes(
      {
        'a/data.pkl': pickle(op.dictOf({ w: W })),
        'a/data/0': new Uint8Array(24),
        ...Object.fromEntries(
          Array.from({ length: 100 }, (_, i) => [
            `a/${i}.pkl`,
            pickle(op.mark, Buffer.alloc(1_000_000, '}'), op.tuple),
          ]),
        ),
      },
      1,
    ),
  }),
  'tensors of a legacy file': () => ({
    'model.bin': legacyFile(Buffer.concat([op.mark, same(120_000, W), op.tuple]), SIX),
  }),
  'storages of a legacy file': () => ({
    'model.bin': legacyFile(
      op.dictOf({ w: tensor({ key: '7', length: 1, shape: [1], strides: [1] }) }),
      Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [String(i), []])),
    ),
  }),
  'storages of a tar': () => ({ 'model.bin': tarFile(50_000) }),
  'a pickle inside a pickle, again and again': () => {
    let inner: Buffer = legacyFile(op.none, {});
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.concat([Buffer.from('B'), Buffer.alloc(4), inner]);
      bytes.writeUInt32LE(inner.length, 1);
      inner = legacyFile(op.call('torch.storage', '_load_from_bytes', bytes, Buffer.alloc(100_000, 'N')), {});
    }
    return { 'model.bin': inner };
  },
};

function torchFile(...content: Uint8Array[]): Record<string, Uint8Array> {
  return { 'model.pt': torchZip(pickle(...content), SIX) };
}

function manyOf(count: number, value: Uint8Array): Buffer[] {
  return Array.from({ length: count }, (_, i) => Buffer.concat([op.text(String(i)), value]));
}
