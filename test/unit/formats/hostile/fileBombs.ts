import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MAX_CONFIGURATION } from '../../../../src/bytes/limits.ts';
import { ggufBytes, text as ggufText, u32, u64 } from '../gguf/ggufBytes.ts';
import { npyBytes, npyHeader } from '../npyBytes.ts';
import { message, model, number, tensor, varint } from '../onnx/onnxBytes.ts';
import { f32File, safetensorsBytes } from '../safetensorsBytes.ts';
import { zipBytes } from '../zipBytes.ts';
import { type Bomb, repeated } from './pickleBombs.ts';

const MB = 1 << 20;
const same = (count: number, piece: Uint8Array) => Buffer.alloc(count * piece.length, piece);
const numbered = (count: number, before: string, after: string) =>
  repeated(count, before.length + 7 + after.length, (bytes, at, i) =>
    bytes.write(`${before}${String(i).padStart(7, '0')}${after}`, at, 'latin1'),
  );

/** A safetensors file whose header is this text. */
const header = (...parts: (string | Uint8Array)[]) => {
  const json = Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return { 'model.safetensors': Buffer.concat([length, json]) };
};

export const SAFETENSORS_BOMBS: Readonly<Record<string, Bomb>> = {
  'seven hundred thousand empty tensors': () =>
    header(
      '{',
      numbered(700_000, '"', '":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'),
      '"z":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
    ),
  'tensors of many dimensions': () =>
    header(
      '{',
      numbered(100_000, '"', `":{"dtype":"F32","shape":[0${',1'.repeat(63)}],"data_offsets":[0,0]},`),
      '"z":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
    ),
  'metadata of many keys': () =>
    header(
      '{"__metadata__":{',
      numbered(900_000, '"', '":"1",'),
      '"z":""},"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
    ),
  'a long text': () => header('{"__metadata__":{"a":"', '\\u0416'.repeat(8_000_000), '"}}'),
  'a long name': () => header('{"', Buffer.alloc(60 * MB, 'n'), '":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
  'one name again and again': () =>
    header(
      '{',
      same(700_000, Buffer.from('"n":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},')),
      '"z":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
    ),
  'unknown values': () =>
    header('{"w":{"x":[', Buffer.alloc(60 * MB, '0,'), '0],"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
  'an index of hundreds of thousands of tensors': () => ({
    'model.safetensors.index.json': Buffer.concat([
      Buffer.from('{"weight_map":{'),
      numbered(800_000, '"', '":"a.st",'),
      Buffer.from('"z":"a.st"}}'),
    ]),
    'a.st': safetensorsBytes({}),
  }),
  'an index of brackets': () => ({
    'model.safetensors.index.json': Buffer.concat([
      Buffer.from('{"weight_map":{"a":"b"},"x":['),
      same(8 * MB, Buffer.from('[],')),
      Buffer.from('0]}'),
    ]),
  }),
  'a configuration of brackets': () => ({
    ...header('{"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
    'config.json': Buffer.concat([Buffer.from('{"x":['), same(2_600_000, Buffer.from('{},')), Buffer.from('0]}')]),
  }),
  'many shards that list more than they should': () => {
    const shard = header(
      '{',
      numbered(100_000, '"', '":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'),
      '"z":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}',
    )['model.safetensors'];
    const names = Array.from({ length: 20 }, (_, i) => `s${i}.safetensors`);
    return {
      'model.safetensors.index.json': Buffer.from(
        JSON.stringify({ weight_map: Object.fromEntries(names.map((name, i) => [`000000${i}`.slice(-7), name])) }),
      ),
      ...Object.fromEntries(names.map((name) => [name, shard])),
    };
  },
};

const manifest = (...middle: (string | Uint8Array)[]) => ({
  'model.json': Buffer.concat(
    ['{"format":"layers-model","modelTopology":{},', ...middle, '}'].map((part) => Buffer.from(part as Uint8Array)),
  ),
  'a.bin': Buffer.alloc(8),
});

/** A small checkpoint beside a configuration of this text. */
const configured = (...parts: (string | Uint8Array)[]) => ({
  'model.safetensors': f32File({ 'w.scales': { shape: [2], values: [1, 2] } }),
  'config.json': Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array))),
});
/** As many pieces as fit in what is read of a configuration. */
const filling = (piece: string) => same(Math.floor(MAX_CONFIGURATION / piece.length) - 2, Buffer.from(piece));

export const CONFIGURATION_BOMBS: Readonly<Record<string, Bomb>> = {
  'empty lists': () => configured('{"x":[', filling('[],'), '0]}'),
  'empty objects': () => configured('{"x":[', filling('{},'), '0]}'),
  'deep brackets': () => configured('['.repeat(MAX_CONFIGURATION)),
  'nested objects': () => configured(filling('{"a":')),
  'more bytes than are read': () => configured('{"x":[', same(8 * MB, Buffer.from('[],')), '0]}'),
};

export const TFJS_BOMBS: Readonly<Record<string, Bomb>> = {
  'a topology of brackets': () => manifest('"x":[', same(8 * MB, Buffer.from('[],')), '0],"weightsManifest":[]'),
  'a topology of braces': () => manifest('"x":[', same(8 * MB, Buffer.from('{},')), '0],"weightsManifest":[]'),
  'hundreds of thousands of weights': () =>
    manifest(
      '"weightsManifest":[{"paths":["a.bin"],"weights":[',
      numbered(400_000, '{"name":"', '","shape":[0],"dtype":"float32"},'),
      '{"name":"z","shape":[0],"dtype":"float32"}]}]',
    ),
  'deep brackets': () => manifest('"weightsManifest":', '['.repeat(8 * MB)),
  'a deep shape': () =>
    manifest(
      `"weightsManifest":[{"paths":["a.bin"],"weights":[{"name":"z","dtype":"float32","shape":${'['.repeat(MB)}${']'.repeat(MB)}}]}]`,
    ),
  'many paths': () =>
    manifest('"weightsManifest":[{"paths":[', same(6 * MB, Buffer.from('"a.bin",')), '"a.bin"],"weights":[]}]'),
};

const fields = (count: number, piece: Uint8Array) => same(count, message(5, piece));

export const ONNX_BOMBS: Readonly<Record<string, Bomb>> = {
  'tensors of nothing': () => ({ 'model.onnx': model(same(8 * MB, Buffer.from([0x2a, 0]))) }),
  'small tensors': () => ({ 'model.onnx': model(fields(500_000, tensor('w', [1], 1, message(9, Buffer.alloc(4))))) }),
  'a tensor of ten million lone numbers': () => ({
    'model.onnx': model(message(5, tensor('w', [4_000_000], 7, same(4_000_000, number(7, 1))))),
  }),
  'a tensor of packed numbers': () => ({
    'model.onnx': model(message(5, tensor('w', [14_000_000], 7, message(7, Buffer.alloc(14_000_000, 1))))),
  }),
  'a tensor of many dimensions': () => ({
    'model.onnx': model(message(5, tensor('w', [], 1, same(5_000_000, number(1, 1))))),
  }),
  'inputs of one node': () => ({ 'model.onnx': model(message(1, same(4 * MB, message(1, 'a')))) }),
  'nodes of nothing': () => ({ 'model.onnx': model(same(6 * MB, Buffer.from([0x0a, 0]))) }),
  'attributes of one node': () => ({
    'model.onnx': model(message(1, message(4, 'Constant'), same(6 * MB, Buffer.from([0x2a, 0])))),
  }),
  'right operands': () => ({
    'model.onnx': model(
      Buffer.concat(
        Array.from({ length: 400 }, (_, i) =>
          message(1, message(1, 'x'), message(1, `${i}${'n'.repeat(60_000)}`), message(4, 'MatMul')),
        ),
      ),
      same(300_000, message(1, message(1, 'x'), message(1, 'y'), message(4, 'MatMul'))),
    ),
  }),
  'names of tensors': () => ({
    'model.onnx': model(...Array.from({ length: 1500 }, () => message(5, tensor('n'.repeat(60_000), [0], 1)))),
  }),
  'keys of external data': () => ({
    'model.onnx': model(
      message(
        5,
        tensor(
          'w',
          [1],
          1,
          number(14, 1),
          Buffer.concat(Array.from({ length: 300_000 }, (_, i) => message(13, message(1, `${i}`), message(2, 'v')))),
        ),
      ),
    ),
  }),
  metadata: () => ({
    'model.onnx': Buffer.concat([
      number(1, 8),
      ...Array.from({ length: 200_000 }, (_, i) => message(14, message(1, `${i}`), message(2, 'v'.repeat(60)))),
      message(7),
    ]),
  }),
  'unknown fields': () => ({ 'model.onnx': Buffer.concat([number(1, 8), same(4 * MB, number(20, 1)), message(7)]) }),
  'deep graphs': () => {
    let inner: Buffer = Buffer.alloc(0);
    for (let i = 0; i < 5000; i++) inner = message(1, message(5, message(6, inner)));
    return { 'model.onnx': model(inner) };
  },
};

const longVarints = Buffer.concat([varint(0)]);

export const GGUF_BOMBS: Readonly<Record<string, Bomb>> = {
  'metadata of many keys': () => ({
    'model.gguf': ggufHeader(
      0,
      2_000_000,
      repeated(2_000_000, 8 + 7 + 4 + 1, (bytes, at, i) => {
        bytes.writeUInt32LE(7, at);
        bytes.write(String(i).padStart(7, '0'), at + 8);
      }),
    ),
  }),
  'an array of short texts': () => ({
    'model.gguf': ggufHeader(0, 1, ggufText('a'), u32(9), u32(8), u64(5_000_000), same(5_000_000, ggufText('b'))),
  }),
  'arrays in arrays': () => ({
    'model.gguf': ggufHeader(
      0,
      1,
      ggufText('a'),
      u32(9),
      same(3_000_000, Buffer.concat([u32(9), u64(1)])),
      longVarints,
    ),
  }),
  'long texts': () => ({
    'model.gguf': ggufHeader(
      0,
      3,
      ...['a', 'b', 'c'].flatMap((key) => [ggufText(key), u32(8), ggufText('é'.repeat(10 * MB))]),
    ),
  }),
  'hundreds of thousands of tensors': () => ({
    'model.gguf': ggufHeader(
      499_999,
      0,
      repeated(499_999, 8 + 7 + 4 + 8 * 4 + 4 + 8, (bytes, at, i) => {
        bytes.writeUInt32LE(7, at);
        bytes.write(String(i).padStart(7, '0'), at + 8);
        bytes.writeUInt32LE(4, at + 15);
      }),
    ),
  }),
};

function ggufHeader(tensors: number, entries: number, ...content: Uint8Array[]): Buffer {
  const start = ggufBytes({ tensors: [] }).subarray(0, 8);
  return Buffer.concat([start, u64(tensors), u64(entries), ...content, Buffer.alloc(64)]);
}

const msgpackText = (value: string) => Buffer.concat([Buffer.from([0xa0 | value.length]), Buffer.from(value)]);
const array = Buffer.from([0xc7, 13, 1, 0x93, 0x91, 0, 0xa7, ...Buffer.from('float32'), 0xc4, 0]);
const wide = (code: number, count: number) => {
  const bytes = Buffer.alloc(5, code);
  bytes.writeUInt32BE(count, 1);
  return bytes;
};

export const FLAX_BOMBS: Readonly<Record<string, Bomb>> = {
  'lists in lists': () => ({ 'model.msgpack': Buffer.alloc(MB, 0x91) }),
  'a list of two hundred million': () => ({
    'model.msgpack': Buffer.concat([wide(0xdd, 200_000_000), Buffer.alloc(4 * MB, 0xc0)]),
  }),
  'a list of ten million': () => ({
    'model.msgpack': Buffer.concat([wide(0xdd, 10_000_000), Buffer.alloc(10_000_000, 0xc0)]),
  }),
  'hundreds of thousands of arrays': () => ({
    'model.msgpack': Buffer.concat([
      wide(0xdf, 300_000),
      repeated(300_000, 8 + array.length, (bytes, at, i) => {
        bytes[at] = 0xa7;
        bytes.write(String(i).padStart(7, '0'), at + 1);
        bytes.set(array, at + 8);
      }),
    ]),
  }),
  'long keys': () => ({
    'model.msgpack': Buffer.concat([
      wide(0xdf, 1500),
      ...Array.from({ length: 1500 }, () =>
        Buffer.concat([Buffer.from([0xda, 0xea, 0x60]), Buffer.alloc(60_000, 'k'), array]),
      ),
    ]),
  }),
  'long ways to arrays': () => ({
    'model.msgpack': Buffer.concat([
      ...Array.from({ length: 50 }, () =>
        Buffer.concat([Buffer.from([0x81, 0xda, 0xea, 0x60]), Buffer.alloc(60_000, 'k')]),
      ),
      wide(0xdf, 100_000),
      ...Array.from({ length: 100_000 }, (_, i) => Buffer.concat([msgpackText(String(i)), array])),
    ]),
  }),
  'maps of one': () => ({
    'model.msgpack': Buffer.concat([wide(0xdd, 1_000_000), same(1_000_000, Buffer.from([0x81, 0xa1, 97, 0xc0]))]),
  }),
};

const FIXTURE = fileURLToPath(new URL('../../../fixtures/tensorflow/', import.meta.url));

/** A table of one data block, with a header entry first. */
function table(...entries: Uint8Array[]): Record<string, Uint8Array> {
  const block = (content: Uint8Array) => Buffer.concat([content, u32(1).fill(0, 0, 4), u32(1), Buffer.alloc(5)]);
  const entry = (shared: number, key: string | Uint8Array, value: Uint8Array) =>
    Buffer.concat([varint(shared), varint(key.length), varint(value.length), Buffer.from(key as Uint8Array), value]);
  const data = block(Buffer.concat([entry(0, '', Buffer.from([8, 1])), ...entries]));
  const handle = Buffer.concat([varint(0), varint(data.length - 5)]);
  const index = block(entry(0, 'z', handle));
  const footer = Buffer.alloc(48);
  Buffer.concat([varint(0), varint(0), varint(data.length), varint(index.length - 5)]).copy(footer);
  footer.writeBigUInt64LE(0xdb4775248b80fb57n, 40);
  return {
    'm.index': Buffer.concat([data, index, footer]),
    'm.data-00000-of-00001': readFileSync(`${FIXTURE}model.ckpt.data-00000-of-00001`),
  };
}

export const TENSORFLOW_BOMBS: Readonly<Record<string, Bomb>> = {
  'long keys that share their beginnings': () =>
    table(
      Buffer.concat([varint(0), varint(20 * MB), varint(0), Buffer.alloc(20 * MB, 'k')]),
      ...Array.from({ length: 2000 }, (_, i) =>
        Buffer.concat([varint(20 * MB - 1 - i), varint(1), varint(0), Buffer.from('l')]),
      ),
    ),
  'keys of sixty kilobytes that share their beginnings': () =>
    table(
      Buffer.concat([varint(0), varint(60_000), varint(0), Buffer.alloc(60_000, 'k')]),
      ...Array.from({ length: 50_000 }, (_, i) =>
        Buffer.concat([varint(60_000 - 1 - (i % 20_000)), varint(2), varint(0), Buffer.from('lm')]),
      ),
    ),
  'hundreds of thousands of entries': () =>
    table(
      repeated(300_000, 3 + 7, (bytes, at, i) => {
        bytes[at + 1] = 7;
        bytes.write(String(i).padStart(7, '0'), at + 3);
      }),
    ),
  'an entry of many fields': () =>
    table(
      Buffer.concat([
        varint(0),
        varint(1),
        varint(30_000_000),
        Buffer.from('a'),
        same(15_000_000, Buffer.from([8, 1])),
      ]),
    ),
};

const NPY = npyBytes(npyHeader('<f4', [1]), new Float32Array([1]));

export const NUMPY_BOMBS: Readonly<Record<string, Bomb>> = {
  'five thousand arrays': () => ({
    'model.npz': zipBytes(Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`${i}.npy`, NPY]))),
  }),
  'a thousand deflated arrays': () => ({
    'model.npz': zipBytes(Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`${i}.npy`, NPY])), 1),
  }),
  'an array that grows a thousandfold': () => ({
    'model.npz': zipBytes({ 'a.npy': npyBytes(npyHeader('<f4', [8 * MB]), new Float32Array(8 * MB)) }, 1),
  }),
  'an array in Fortran order that grows a thousandfold': () => ({
    'model.npz': zipBytes({ 'a.npy': npyBytes(npyHeader('<f4', [8, MB], true), new Float32Array(8 * MB)) }, 1),
  }),
  'a directory of long names': () => zipOfNothing(60_000, 200),
};

/** An archive of empty files with long names. */
function zipOfNothing(count: number, nameBytes: number): Record<string, Uint8Array> {
  const name = (i: number) => `${String(i).padStart(nameBytes - 4, '0')}.npy`;
  const local = repeated(count, 30 + nameBytes, (bytes, at, i) => {
    bytes.writeUInt32LE(0x04034b50, at);
    bytes.writeUInt16LE(nameBytes, at + 26);
    bytes.write(name(i), at + 30);
  });
  const directory = repeated(count, 46 + nameBytes, (bytes, at, i) => {
    bytes.writeUInt32LE(0x02014b50, at);
    bytes.writeUInt16LE(nameBytes, at + 28);
    bytes.writeUInt32LE(i * (30 + nameBytes), at + 42);
    bytes.write(name(i), at + 46);
  });
  const end = Buffer.alloc(56 + 20 + 22);
  end.writeUInt32LE(0x06064b50, 0);
  end.writeBigUInt64LE(44n, 4);
  end.writeBigUInt64LE(BigInt(count), 24);
  end.writeBigUInt64LE(BigInt(count), 32);
  end.writeBigUInt64LE(BigInt(directory.length), 40);
  end.writeBigUInt64LE(BigInt(local.length), 48);
  end.writeUInt32LE(0x07064b50, 56);
  end.writeBigUInt64LE(BigInt(local.length + directory.length), 64);
  end.writeUInt32LE(0x06054b50, 76);
  end.fill(0xff, 84, 96);
  return { 'model.npz': Buffer.concat([local, directory, end]) };
}
