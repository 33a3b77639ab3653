import assert from 'node:assert/strict';
import { appendFileSync, truncateSync } from 'node:fs';
import { elementCount } from '../../../src/base/shape.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { processorTime } from '../processorTime.ts';
import { checkpointPath } from './checkpointFiles.ts';
import { testFolder } from './folder.ts';
import { python } from './python.ts';
import { rejectsWith } from './rejectsWith.ts';
import { f32File, safetensorsBytes } from './safetensorsBytes.ts';

const DAMAGED: Record<string, readonly [header: string, dataBytes: number, says: RegExp]> = {
  'an end before its start': ['{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}', 4, /ends \(0\) before/],
  'a hole between tensors': [
    '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}',
    3,
    /no tensor contains the bytes 1 to 2/,
  ],
  'two tensors in one place': [
    '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
    1,
    /overlaps the one that ends/,
  ],
  'data that ends early': ['{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', 8, /only 8 follow.*cut off/],
  'bytes that belong to no tensor': ['{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 9, /8 bytes after/],
  'an offset of 2^53': ['{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,9007199254740992]}}', 1, /2\^53/],
  'a shape beyond 2^53': ['{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,1]}}', 1, /2\^53 el/],
  'a negative size': ['{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}', 1, /not negative/],
  'a fractional offset': ['{"a":{"dtype":"U8","shape":[1],"data_offsets":[0.0,1]}}', 1, /whole number/],
  'a leading zero': ['{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}', 1, /whole number/],
  'three offsets': ['{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}', 1, /3 offsets/],
  'two shapes': ['{"a":{"dtype":"U8","shape":[1],"shape":[2],"data_offsets":[0,1]}}', 1, /two shape/],
  'no dtype': ['{"a":{"shape":[1],"data_offsets":[0,1]}}', 1, /no dtype/],
  'text after the header': ['{}x', 0, /end of the text/],
  'a lone surrogate': ['{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1, /surrogate/],
  'a line break in a name': ['{"a\nb":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1, /control character/],
  'metadata that is not a string': ['{"__metadata__":{"a":1}}', 0, /a string is expected/],
  'metadata twice': ['{"__metadata__":{},"__metadata__":{}}', 0, /twice/],
};

describe('safetensors files', () => {
  const folder = testFolder();
  const write = (content: Uint8Array) => folder.write('model.safetensors', content);

  for (const [what, [header, dataBytes, says]] of Object.entries(DAMAGED))
    it(`refuses a safetensors file with ${what}`, () =>
      rejectsWith(
        openCheckpoint(write(safetensorsBytes(header, new Uint8Array(dataBytes)))),
        'malformed',
        /model\.safetensors/,
        says,
      ));

  it('refuses a header of invalid UTF-8', () => {
    const bytes = safetensorsBytes('{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(1));
    bytes[10] = 0xff;
    return rejectsWith(openCheckpoint(write(bytes)), 'malformed', /UTF-8/);
  });

  it('lists the known types when it refuses an unknown one', () =>
    rejectsWith(
      openCheckpoint(
        write(safetensorsBytes('{"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}}', new Uint8Array(4))),
      ),
      'unsupported',
      /"F33"/,
      /BF16/,
    ));

  it('refuses a million nested brackets within a second', async () => {
    const header = `{"a":{"x":${'['.repeat(1_000_000)}`;
    const spent = processorTime();
    await rejectsWith(openCheckpoint(write(safetensorsBytes(header))), 'malformed', /nested/);
    assert.ok(spent() < 1000, `${spent()} ms`);
  });

  it('reads tensors named like the members of JavaScript objects', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
    const entries = names.map((name, i) => `"${name}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`);
    const checkpoint = await openCheckpoint(write(safetensorsBytes(`{${entries}}`, new Uint8Array([5, 6, 7, 8]))));
    assert.deepEqual(
      checkpoint.tensors.map((tensor) => tensor.name),
      names,
    );
    const value = new Float32Array(1);
    await checkpoint.tensors[0]!.read(0, value);
    assert.equal(value[0], 5);
    await checkpoint.close();
  });

  it('uses the last entry of a name that is listed twice, and says so', async () => {
    const header =
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}';
    const checkpoint = await openCheckpoint(write(safetensorsBytes(header, new Uint8Array(2))));
    assert.deepEqual(checkpoint.tensors[0]?.shape, [2]);
    assert.match(checkpoint.warnings.join(), /"a" more than once/);
    await checkpoint.close();
  });

  it('reads escaped names, scalars, empty tensors and unknown fields', async () => {
    const header =
      '{ "\\u00e9\\n":{"dtype":"F32","shape":[],"data_offsets":[0,4]}, "e":{"dtype":"F32","shape":[0,5],"data_offsets":[4,4],' +
      '"more":[{"deep":[1.5e3,true,null]}]}, "f":{"dtype":"F16","shape":[0],"data_offsets":[4,4]} }  \n';
    const checkpoint = await openCheckpoint(
      write(safetensorsBytes(header, new Uint8Array(new Float32Array([2.5]).buffer))),
    );
    assert.deepEqual(
      checkpoint.tensors.map(({ name, shape, bytes }) => [name, shape, bytes]),
      [
        ['é\n', [], 4],
        ['e', [0, 5], 0],
        ['f', [0], 0],
      ],
    );
    assert.equal(new Set(checkpoint.tensors.map((tensor) => tensor.storage)).size, 3);
    await checkpoint.close();
  });

  // Takes half a second on an idle machine; quadratic time would take minutes.
  it('opens 100,000 tensors without quadratic time', async () => {
    const entries = Array.from(
      { length: 100_000 },
      (_, i) =>
        `"model.layers.${i >> 4}.mlp.experts.${i & 15}.weight":{"dtype":"U8","shape":[1,1],"data_offsets":[${i},${i + 1}]}`,
    );
    const path = write(safetensorsBytes(`{${entries}}`, new Uint8Array(100_000)));
    const times: number[] = [];
    for (let i = 0; i < 3; i++) {
      const start = process.cpuUsage();
      const checkpoint = await openCheckpoint(path);
      const { user, system } = process.cpuUsage(start);
      times.push((user + system) / 1000);
      assert.equal(checkpoint.tensors.length, 100_000);
      await checkpoint.close();
    }
    assert.ok(Math.min(...times) < 4000, `${times}`);
  });

  it('opens 6 GB at once, and reads the last values without the others', async () => {
    const [rows, cols] = [1_500_000, 1000];
    const bytes = rows * cols * 4;
    const header = safetensorsBytes({ w: { dtype: 'F32', shape: [rows, cols], data_offsets: [0, bytes] } });
    const path = write(header);
    // A sparse file has this size but takes no space on disk.
    truncateSync(path, header.length + bytes - 4);
    appendFileSync(path, new Uint8Array(new Float32Array([7]).buffer));
    const before = process.resourceUsage().maxRSS;
    const checkpoint = await openCheckpoint(path);
    const out = new Float32Array(2);
    await checkpoint.tensors[0]!.read(rows * cols - 2, out);
    assert.deepEqual([...out], [0, 7]);
    assert.ok(process.resourceUsage().maxRSS - before < 50_000);
    await checkpoint.close();
  });

  it('stops reading within 200 ms of processor time after a cancellation', async () => {
    const bytes = 2 ** 29;
    const header = safetensorsBytes({ w: { dtype: 'F16', shape: [bytes / 2], data_offsets: [0, bytes] } });
    const path = write(header);
    truncateSync(path, header.length + bytes);
    const checkpoint = await openCheckpoint(path);
    const stop = new AbortController();
    let spent = () => Number.NaN;
    setTimeout(() => {
      spent = processorTime();
      stop.abort();
    }, 5);
    const out = new Float32Array(bytes / 8);
    await rejectsWith(checkpoint.tensors[0]!.read(0, out, stop.signal), 'cancelled');
    assert.ok(spent() < 200, `${spent()} ms`);
    await checkpoint.close();
  });

  it('reads any range of a tensor, and its stored bytes', async () => {
    const values = Array.from({ length: 100 }, (_, i) => i / 7);
    const checkpoint = await openCheckpoint(
      write(f32File({ pad: { shape: [1], values: [9] }, a: { shape: [10, 10], values } })),
    );
    const tensor = checkpoint.tensors[1]!;
    const out = new Float32Array(13);
    await tensor.read(55, out);
    assert.deepEqual(out, new Float32Array(values.slice(55, 68)));
    const stored = await tensor.readStored!(4 * 55, new Uint8Array(4 * 13));
    assert.deepEqual(stored, new Uint8Array(out.buffer));
    await rejectsWith(tensor.read(99, new Float32Array(2)), 'wrong-use', /a: elements 99/);
    await checkpoint.close();
  });

  // The bytes that safetensors 0.8 writes for a torch.float4_e2m1fn_x2 of (2, 2).
  it('reads any range of 4-bit floats, even one that starts or ends within a byte', async () => {
    const header = '{"a":{"dtype":"F4","shape":[2,4],"data_offsets":[0,4]}}';
    const checkpoint = await openCheckpoint(write(safetensorsBytes(header, new Uint8Array([0x21, 0x43, 0xf5, 0x87]))));
    const expected = [0.5, 1, 1.5, 2, 3, -6, 6, -0];
    for (let start = 0; start < 8; start++)
      for (let end = start; end <= 8; end++) {
        const out = new Float32Array(end - start);
        await checkpoint.tensors[0]!.read(start, out);
        assert.deepEqual([...out], expected.slice(start, end));
      }
    await checkpoint.close();
  });

  it('lists tensors of 6-bit floats, and says why their values are not read', async () => {
    const header =
      '{"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]},"b":{"dtype":"F6_E3M2","shape":[4],"data_offsets":[3,6]}}';
    const checkpoint = await openCheckpoint(write(safetensorsBytes(header, new Uint8Array(6))));
    for (const tensor of checkpoint.tensors)
      await assert.rejects(tensor.read(0, new Float32Array(4)), /no agreed way to pack 6-bit floats/);
    await checkpoint.close();
  });

  it('agrees with the reference reader on the values of every type', async function () {
    const names = ['bf16', 'f16', 'f64', 'f8_e4m3', 'f8_e5m2'].map((type) => `retsim-dtypes/retsim.${type}`);
    const paths = ['retsim/model', ...names].map((name) => checkpointPath(this, `${name}.safetensors`));
    const script = `
import json, sys, torch
from safetensors import safe_open
def sampled(path):
    with safe_open(path, "pt") as f:
        tensors = {k: f.get_tensor(k) for k in f.keys()}
        return {k: [list(t.shape), t.to(torch.float32).flatten()[::97].tolist()] for k, t in tensors.items()}
print(json.dumps([sampled(path) for path in sys.argv[1:]]))`;
    const reference = python(this, ['torch', 'safetensors'], script, ...paths) as Record<
      string,
      [number[], number[]]
    >[];
    for (const [i, path] of paths.entries()) {
      const checkpoint = await openCheckpoint(path);
      assert.deepEqual(new Set(checkpoint.tensors.map((tensor) => tensor.name)), new Set(Object.keys(reference[i]!)));
      for (const tensor of checkpoint.tensors) {
        const [shape, sampled] = reference[i]![tensor.name]!;
        assert.deepEqual(tensor.shape, shape);
        const values = new Float32Array(elementCount(shape));
        await tensor.read(0, values);
        const ours = [...values].filter((_, at) => at % 97 === 0);
        assert.deepEqual(ours, sampled, `${path} ${tensor.name}`);
      }
      await checkpoint.close();
    }
  }).timeout(120_000);
});
