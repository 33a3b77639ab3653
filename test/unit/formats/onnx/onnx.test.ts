import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { elementCount } from '../../../../src/base/shape.ts';
import type { Checkpoint } from '../../../../src/checkpoint/checkpoint.ts';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { isStored } from '../../../../src/model/matrix.ts';
import { anatomy } from '../../../../src/model/names/anatomy.ts';
import { checkpointPath } from '../checkpointFiles.ts';
import { testFolder } from '../folder.ts';
import { python } from '../python.ts';
import { rejectsWith } from '../rejectsWith.ts';
import { attribute, f32s, message, model, node, number, tensor, varint } from './onnxBytes.ts';

async function values(checkpoint: Checkpoint, name: string): Promise<number[]> {
  const found = checkpoint.tensors.find((each) => each.name === name)!;
  const out = new Float32Array(elementCount(found.shape));
  await found.read(0, out);
  return [...out];
}

const RAW = tensor('w', [2, 3], 1, message(9, f32s(1, 2, 3, 4, 5, 6)));

describe('ONNX models', () => {
  const folder = testFolder();
  const open = (...graph: Uint8Array[]) => openCheckpoint(folder.write('model.onnx', model(...graph)));

  it('reads initializers, and constants of subgraphs under the name of their output', async () => {
    const inner = message(
      6,
      node('Constant', [], 'c', attribute('value', message(5, tensor('', [2], 1, message(9, f32s(7, 8)))))),
    );
    const checkpoint = await open(message(5, RAW), node('If', ['x'], 'y', attribute('then_branch', inner)));
    assert.deepEqual(
      checkpoint.tensors.map(({ name, shape, dtype, bytes }) => [name, shape, dtype, bytes]),
      [
        ['w', [2, 3], 'F32', 24],
        ['c', [2], 'F32', 8],
      ],
    );
    assert.deepEqual(await values(checkpoint, 'w'), [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(await values(checkpoint, 'c'), [7, 8]);
    await checkpoint.close();
  });

  it('numbers the names that several graphs use', async () => {
    const checkpoint = await open(message(5, RAW), message(5, RAW));
    assert.deepEqual(
      checkpoint.tensors.map(({ name }) => name),
      ['w', 'w#2'],
    );
    await checkpoint.close();
  });

  it('marks weights that are stored as (in, out)', async () => {
    const gemm = (transB: number) => node('Gemm', ['x', `g${transB}`], 'y', attribute('transB', number(3, transB)));
    const weight = (name: string) => message(5, tensor(name, [2, 3], 1, message(9, f32s(1, 2, 3, 4, 5, 6))));
    const checkpoint = await open(
      weight('w'),
      weight('g0'),
      weight('g1'),
      node('MatMul', ['x', 'w'], 'y'),
      gemm(0),
      gemm(1),
    );
    assert.deepEqual(
      checkpoint.tensors.map(({ name, transposed }) => [name, transposed ?? false]),
      [
        ['w', true],
        ['g0', true],
        ['g1', false],
      ],
    );
    await checkpoint.close();
  });

  it('says how convolutions apply their kernels, which have other shapes in groups and transposed', async () => {
    const values = f32s(...Array.from({ length: 8 * 4 * 3 }, (_, k) => k));
    const kernel = (name: string) => message(5, tensor(name, [8, 4, 3], 1, message(9, values)));
    const group = (groups: number) => attribute('group', number(3, groups));
    const checkpoint = await open(
      ...['plain', 'grouped', 'up', 'upGrouped', 'wrong'].map(kernel),
      node('Conv', ['x', 'plain'], 'a'),
      node('Conv', ['x', 'grouped'], 'b', group(2)),
      node('ConvTranspose', ['x', 'up'], 'c'),
      node('ConvTranspose', ['x', 'upGrouped'], 'd', group(2)),
      node('Conv', ['x', 'wrong'], 'e', group(3)),
    );
    const { matrices } = anatomy(checkpoint.tensors);
    const shapes = (name: string) =>
      matrices.filter(({ tensorName }) => tensorName === name).map(({ shape }) => shape.join(' x '));
    assert.deepEqual(['plain', 'grouped', 'up', 'upGrouped', 'wrong'].map(shapes), [
      ['8 x 12'],
      ['4 x 12', '4 x 12'],
      ['4 x 24'],
      ['4 x 12', '4 x 12'],
      ['8 x 12'],
    ]);
    await checkpoint.close();
  });

  it('says the same of weights behind a node that passes them on', async () => {
    const weight = (name: string) => message(5, tensor(name, [2, 3], 1, message(9, f32s(1, 2, 3, 4, 5, 6))));
    const checkpoint = await open(
      ...['w', 'other'].map(weight),
      node('Identity', ['w'], 'a'),
      node('Cast', ['a'], 'b'),
      node('Cast', ['other'], 'c'),
      node('MatMul', ['x', 'b'], 'y'),
    );
    assert.deepEqual(
      checkpoint.tensors.map(({ transposed }) => transposed ?? false),
      [true, false],
    );
    await checkpoint.close();
  });

  it('finds one matrix for each slice of a batched product, and for each direction of a recurrent layer', async () => {
    const values = f32s(...Array.from({ length: 2 * 8 * 3 }, (_, k) => k));
    const weight = (name: string) => message(5, tensor(name, [2, 8, 3], 1, message(9, values)));
    const checkpoint = await open(
      ...['batched', 'W', 'R', 'neither'].map(weight),
      node('MatMul', ['x', 'batched'], 'a'),
      node('LSTM', ['x', 'W', 'R'], 'b'),
    );
    const found = anatomy(checkpoint.tensors).matrices.filter(isStored);
    const of = (name: string) =>
      found.filter((one) => one.tensorName === name).map((one) => [one.shape.join(' x '), one.offset, one.transposed]);
    assert.deepEqual(of('batched'), [
      ['3 x 8', 0, true],
      ['3 x 8', 24, true],
    ]);
    for (const name of ['W', 'R'])
      assert.deepEqual(of(name), [
        ['8 x 3', 0, false],
        ['8 x 3', 24, false],
      ]);
    assert.equal(of('neither').length, 1);
    await checkpoint.close();
  });

  it('reads values that are listed individually', async () => {
    const packed = message(5, varint(0x3c00), varint(0xc000)); // 1 and -2 as bits of F16
    const single = Buffer.concat([number(7, -5n), number(7, 9)]);
    const checkpoint = await open(
      message(5, tensor('half', [2], 10, packed)),
      message(5, tensor('long', [2], 7, single)),
      message(5, tensor('float', [2], 1, message(4, f32s(1.5, 2.5)))),
      message(
        5,
        tensor('floats', [2], 1, Buffer.concat([Buffer.from([0x25]), f32s(0.5), Buffer.from([0x25]), f32s(4)])),
      ),
    );
    assert.deepEqual(await values(checkpoint, 'half'), [1, -2]);
    assert.deepEqual(await values(checkpoint, 'long'), [-5, 9]);
    assert.deepEqual(await values(checkpoint, 'float'), [1.5, 2.5]);
    assert.deepEqual(await values(checkpoint, 'floats'), [0.5, 4]);
    await checkpoint.close();
  });

  const outside = (location: string, ...entries: [string, string][]) =>
    tensor(
      'w',
      [2],
      1,
      number(14, 1),
      ...[['location', location], ...entries].map(([key, value]) => message(13, message(1, key!), message(2, value!))),
    );

  it('reads external data beside the file', async () => {
    folder.write('weights.bin', Buffer.concat([f32s(9), f32s(1, 2)]));
    const checkpoint = await open(message(5, outside('weights.bin', ['offset', '4'], ['length', '8'])));
    assert.deepEqual(await values(checkpoint, 'w'), [1, 2]);
    assert.equal(checkpoint.files.length, 2);
    await checkpoint.close();
  });

  for (const name of ['../weights.bin', '/etc/passwd', 'a/../../weights.bin', 'C:\\weights.bin', '']) {
    it(`refuses external data named ${JSON.stringify(name)}`, () =>
      rejectsWith(open(message(5, outside(name))), 'malformed', /external data/));
  }

  it('refuses external data behind a symbolic link out of the folder', async () => {
    mkdirSync(folder.path('model'));
    symlinkSync(folder.write('secret.bin', f32s(1, 2)), folder.path('model/weights.bin'));
    await rejectsWith(
      openCheckpoint(folder.write('model/model.onnx', model(message(5, outside('weights.bin'))))),
      'malformed',
      /leads out/,
    );
  });

  it('names an external file that is missing, and refuses one that is too short', async () => {
    await rejectsWith(open(message(5, outside('gone.bin'))), 'not-found', /gone\.bin/);
    folder.write('short.bin', f32s(1));
    await rejectsWith(open(message(5, outside('short.bin'))), 'malformed', /byte 8 of a file of 4/);
  });

  const refused: [string, Uint8Array, RegExp][] = [
    [
      'fewer bytes than the shape needs',
      message(5, tensor('w', [2, 3], 1, message(9, f32s(1)))),
      /4 bytes, but its shape 2 x 3/,
    ],
    ['a negative size', message(5, tensor('w', [-1n], 1)), /the size -1/],
    [
      'more elements than 2^53',
      message(5, tensor('w', [2n ** 40n, 2n ** 40n], 1, message(9, f32s(1)))),
      /claims the shape/,
    ],
    ['an unknown data type', message(5, tensor('w', [1], 99, message(9, f32s(1)))), /data type 99/],
    [
      'a hundred dimensions',
      message(5, tensor('w', Array(100).fill(1), 1, message(9, f32s(1)))),
      /more than 64 dimensions/,
    ],
    ['a field of wire type 7', Buffer.from([0x0f]), /wire type 7/],
    ['a number of eleven bytes', Buffer.concat([Buffer.from([0x08]), Buffer.alloc(11, 0xff)]), /longer than 10 bytes/],
  ];
  for (const [what, graph, pattern] of refused) {
    it(`refuses ${what}`, () => rejectsWith(open(graph), 'malformed', /model\.onnx/, pattern));
  }

  it('refuses graphs that are nested too deeply', async () => {
    let graph: Uint8Array = node('Constant', [], 'c');
    for (let i = 0; i < 40; i++) graph = node('If', ['x'], 'y', attribute('then_branch', message(6, graph)));
    await rejectsWith(open(graph), 'malformed', /nested deeper/);
  });

  it('refuses an ONNX file cut off at any point', async () => {
    const whole = model(message(5, RAW), node('MatMul', ['x', 'w'], 'y'));
    for (let length = 9; length < whole.length; length++)
      await rejectsWith(openCheckpoint(folder.write('model.onnx', whole.subarray(0, length))), 'malformed');
  });

  it('agrees with the reference reader on shapes and values of every real file', async function () {
    const script = `
import sys, json, onnx, numpy as np
from onnx import numpy_helper
model = onnx.load(sys.argv[1])
found = []
def take(t, name):
    a = numpy_helper.to_array(t)
    found.append([name, list(t.dims), float(np.abs(np.nan_to_num(a.astype(np.float32).astype(np.float64), posinf=0, neginf=0)).sum()) if a.dtype.kind in 'fiub' else 0])
def walk(g):
    for node in g.node:
        for a in node.attribute:
            if node.op_type == 'Constant' and a.name == 'value': take(a.t, node.output[0])
            if a.type == onnx.AttributeProto.GRAPH: walk(a.g)
            for x in a.graphs: walk(x)
    for t in g.initializer: take(t, t.name)
walk(model.graph)
print(json.dumps(found))`;
    const files = ['magika', 'silero-vad'].flatMap((name) => {
      const path = checkpointPath(this, name);
      return readdirSync(path)
        .filter((file) => file.endsWith('.onnx'))
        .map((file) => `${path}/${file}`);
    });
    for (const file of files) {
      const truth = python(this, ['onnx', 'numpy'], script, file) as [string, number[], number][];
      const checkpoint = await openCheckpoint(file);
      assert.equal(checkpoint.tensors.length, truth.length, file);
      const own = await Promise.all(
        checkpoint.tensors.map(
          async ({ name, shape }) =>
            [
              name.replace(/#\d+$/, ''),
              shape,
              (await values(checkpoint, name)).reduce((sum, x) => (Number.isFinite(x) ? sum + Math.abs(x) : sum), 0),
            ] as const,
        ),
      );
      const order = (a: readonly unknown[], b: readonly unknown[]) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
      const [mine, theirs] = [[...own].sort(order), [...truth].sort(order)];
      for (const [i, [name, shape, sum]] of mine.entries()) {
        assert.deepEqual([name, shape], theirs[i]!.slice(0, 2));
        assert.ok(Math.abs(sum - theirs[i]![2]) <= 1e-6 * Math.abs(sum) + 1e-12, `${name} in ${file}`);
      }
      await checkpoint.close();
    }
  }).timeout(120_000);
});
