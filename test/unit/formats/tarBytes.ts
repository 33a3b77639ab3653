import { op, pickle } from './pickleBytes.ts';

/**
 * A checkpoint of torch 0.1: a 3 x 2 view `w` of the transposed numbers 1 to 6, and `more` storages of one number each.
 */
export function tarFile(more = 0): Buffer {
  const storage = (key: number, values: readonly number[]) => [
    pickle(op.tupleOf(op.int(key), op.text('cpu'), op.global('torch', 'FloatStorage'))),
    long(values.length),
    new Uint8Array(new Float32Array(values).buffer),
  ];
  const others = Array.from({ length: more }, (_, i) => storage(1000 + i, [i])).flat();
  const storages = [pickle(op.int(1 + more)), ...storage(77, [1, 2, 3, 4, 5, 6]), ...others, pickle(op.emptyList)];
  const tensors = [
    pickle(op.int(1)),
    pickle(op.tupleOf(op.int(5), op.int(77), op.global('torch', 'FloatTensor'))),
    // Dimensions, sizes, strides, offset.
    long(2, 3, 2, 1, 3, 0),
  ];
  const object = pickle(op.dictOf({ w: Buffer.concat([op.tupleOf(op.int(5)), op.persistent]) }));
  return Buffer.concat([
    member('storages', Buffer.concat(storages)),
    member('tensors', Buffer.concat(tensors)),
    member('pickle', object),
    Buffer.alloc(1024),
  ]);
}

function long(...values: readonly number[]): Uint8Array {
  return new Uint8Array(new BigInt64Array(values.map(BigInt)).buffer);
}

function member(name: string, content: Uint8Array): Buffer {
  const header = Buffer.alloc(512);
  header.write(name);
  header.write(content.length.toString(8).padStart(11, '0'), 124);
  header.write('0', 156);
  header.write('ustar', 257);
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}
