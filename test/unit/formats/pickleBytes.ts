/** Pickles built opcode by opcode, so that tests can make those that no pickler would write. */
export const op = {
  protocol: (version: number) => Buffer.from([0x80, version]),
  stop: Buffer.from('.'),
  mark: Buffer.from('('),
  reduce: Buffer.from('R'),
  build: Buffer.from('b'),
  none: Buffer.from('N'),
  dup: Buffer.from('2'),
  emptyDict: Buffer.from('}'),
  emptyList: Buffer.from(']'),
  emptyTuple: Buffer.from(')'),
  tuple: Buffer.from('t'),
  setItem: Buffer.from('s'),
  setItems: Buffer.from('u'),
  append: Buffer.from('a'),
  appends: Buffer.from('e'),
  persistent: Buffer.from('Q'),
  newObject: Buffer.from([0x81]),
  put: (key: number) => Buffer.from([0x71, key]),
  get: (key: number) => Buffer.from([0x68, key]),
  int(value: number): Buffer {
    const bytes = Buffer.alloc(5, 'J');
    bytes.writeInt32LE(value, 1);
    return bytes;
  },
  text(value: string): Buffer {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(5, 'X');
    length.writeUInt32LE(bytes.length, 1);
    return Buffer.concat([length, bytes]);
  },
  global: (module: string, name: string) => Buffer.from(`c${module}\n${name}\n`),
  /** Protocol 4: module and name come from the stack. */
  stackGlobal: (module: string, name: string) => Buffer.concat([op.text(module), op.text(name), Buffer.from([0x93])]),
  tupleOf: (...items: readonly Uint8Array[]) => Buffer.concat([op.mark, ...items, op.tuple]),
  dictOf: (entries: Readonly<Record<string, Uint8Array>>) =>
    Buffer.concat([
      op.emptyDict,
      op.mark,
      ...Object.entries(entries).flatMap(([key, value]) => [op.text(key), value]),
      op.setItems,
    ]),
  call: (module: string, name: string, ...args: readonly Uint8Array[]) =>
    Buffer.concat([op.global(module, name), op.tupleOf(...args), op.reduce]),
  numbers: (values: readonly number[]) => Buffer.concat([op.mark, ...values.map(op.int), op.tuple]),
} as const;

export function pickle(...content: readonly Uint8Array[]): Buffer {
  return Buffer.concat([op.protocol(2), ...content, op.stop]);
}

export interface TensorLayout {
  readonly key?: string;
  readonly type?: string;
  readonly length: number;
  readonly offset?: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** A tensor as torch.save writes it. */
export function tensor({ key = '0', type = 'FloatStorage', length, offset = 0, shape, strides }: TensorLayout): Buffer {
  const storage = op.tupleOf(
    op.text('storage'),
    op.global('torch', type),
    op.text(key),
    op.text('cpu'),
    op.int(length),
  );
  return op.call(
    'torch._utils',
    '_rebuild_tensor_v2',
    Buffer.concat([storage, op.persistent]),
    op.int(offset),
    op.numbers(shape),
    op.numbers(strides),
    Buffer.from([0x89]),
    op.call('collections', 'OrderedDict'),
  );
}

/** The start of a legacy file, before the object: magic number, protocol and the writer's platform. */
const LEGACY_START = Buffer.concat([
  Buffer.from('80028a0a6cfc9c46f9206aa850192e', 'hex'),
  pickle(op.int(1001)),
  pickle(op.dictOf({ protocol_version: op.int(1001), little_endian: Buffer.from([0x88]) })),
]);

/** A legacy file: the object, the keys of its F32 storages, and the storages. */
export function legacyFile(object: Uint8Array, storages: Readonly<Record<string, readonly number[]>>): Buffer {
  const keys = Object.keys(storages).flatMap((key) => [op.text(key)]);
  const data = Object.values(storages).map((values) => {
    const count = Buffer.alloc(8);
    count.writeBigInt64LE(BigInt(values.length));
    return Buffer.concat([count, new Uint8Array(new Float32Array(values).buffer)]);
  });
  return Buffer.concat([
    LEGACY_START,
    pickle(object),
    pickle(op.emptyList, op.mark, Buffer.concat(keys), op.appends),
    ...data,
  ]);
}
