import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { valuesOf } from '../../../../src/checkpoint/tensor.ts';
import { checkpointPath } from '../checkpointFiles.ts';
import { testFolder } from '../folder.ts';
import { python } from '../python.ts';
import { readAll, withCheckpoint } from '../readAll.ts';
import { rejectsWith } from '../rejectsWith.ts';
import { attribute, f32s, message, model, node, number, tensor, varint } from './onnxBytes.ts';

const FIXTURES = fileURLToPath(new URL('../../../fixtures/onnx', import.meta.url));

const floats = (name: string, dims: readonly number[], ...values: number[]) =>
  message(5, tensor(name, dims, 1, message(9, f32s(...values))));
const bytes = (name: string, dims: readonly number[], type: number, ...values: number[]) =>
  message(5, tensor(name, dims, type, message(9, Uint8Array.from(values))));
const integer = (name: string, value: number) => attribute(name, number(3, value));
const [U8, I8, U4, I4] = [2, 3, 21, 22];

describe('quantized ONNX models', () => {
  const folder = testFolder();
  const file = (...graph: Uint8Array[]) => folder.write('model.onnx', model(...graph));

  it('have the weights with which ONNX Runtime computes', async () => {
    const shapes = new Map<string, string>();
    const expected = await withCheckpoint(`${FIXTURES}/expected.safetensors`, (checkpoint) => {
      for (const { name, shape } of checkpoint.tensors) shapes.set(name, shape.join());
      return readAll(checkpoint);
    });
    assert.equal(Object.keys(expected).length, 30);
    await withCheckpoint(`${FIXTURES}/quantized.onnx`, async (checkpoint) => {
      const names = checkpoint.tensors.map(({ name }) => name).sort();
      assert.deepEqual(names, [...Object.keys(expected), 'indices'].sort());
      assert.match(checkpoint.warnings.join(), /^30 tensors are stored quantized \(MatMulNBits, MatMulBnb4, Deq/);
      for (const found of checkpoint.tensors) {
        const theirs = expected[found.name];
        if (!theirs) continue;
        assert.equal(found.shape.join(), shapes.get(found.name), found.name);
        const ours = await valuesOf(found);
        const largest = Math.max(...theirs.map(Math.abs));
        const worst = Math.max(...theirs.map((value, at) => Math.abs(value - ours[at]!)));
        assert.ok(worst <= 2 ** -22 * largest, `${found.name} is off by ${worst}, the largest value is ${largest}`);
        // Any range of the elements has the same values as the whole.
        const part = new Float32Array(ours.length - 4);
        await found.read(3, part);
        assert.deepEqual(part, ours.subarray(3, -1), found.name);
      }
      const transposed = (name: string) => checkpoint.tensors.find((each) => each.name === name)!.transposed ?? false;
      assert.deepEqual(['product', 'columns', 'nbits4'].map(transposed), [true, false, false]);
    });
  });

  for (const [operator, inputs, right] of [
    ['QLinearMatMul', ['x', 'xs', 'xz', 'w', 's', 'z', 'ys', 'yz'], true],
    ['MatMulIntegerToFloat', ['x', 'w', 'xs', 's', 'xz', 'z'], true],
    ['DynamicQuantizeMatMul', ['x', 'w', 's', 'z'], true],
    ['QAttention', ['x', 'w', 'b', 'xs', 's', 'm', 'xz', 'z'], true],
    ['QGemm', ['x', 'xs', 'xz', 'w', 's', 'z'], true],
    ['QLinearConv', ['x', 'xs', 'xz', 'w', 's', 'z', 'ys', 'yz'], false],
  ] as const)
    it(`are dequantized where ${operator} computes with their codes`, async () => {
      const count = right ? 3 : 2;
      const scales = [0.5, 2, 4].slice(0, count);
      const zeros = [1, 0, 255].slice(0, count);
      const path = file(
        bytes('w', [2, 3], I8, 1, 2, 3, 4, 250, 6),
        floats('s', [count], ...scales),
        bytes('z', [count], I8, ...zeros),
        node(operator, inputs, 'y'),
      );
      await withCheckpoint(path, async (checkpoint) => {
        assert.deepEqual(
          checkpoint.tensors.map(({ name, shape, transposed }) => [name, shape, transposed ?? false]),
          [['w', [2, 3], right]],
        );
        const byColumn = [0, 4, 16, 1.5, -12, 28];
        const byRow = [0, 0.5, 1, 8, -12, 12];
        assert.deepEqual((await readAll(checkpoint)).w, right ? byColumn : byRow);
      });
    });

  it('are dequantized where the scales have the name that the quantizer of ONNX Runtime gives them', async () => {
    const path = file(
      bytes('fc.weight_quantized', [2, 2], U8, 128, 130, 126, 129),
      floats('fc.weight_scale', [], 0.5),
      bytes('fc.weight_zero_point', [], U8, 128),
      node('MatMulInteger', ['x', 'fc.weight_quantized', 'xz', 'fc.weight_zero_point'], 'y'),
    );
    await withCheckpoint(path, async (checkpoint) => {
      assert.deepEqual(await readAll(checkpoint), { 'fc.weight_quantized': [0, 1, -1, 0.5] });
      assert.equal(checkpoint.tensors[0]!.transposed, true);
    });
  });

  it('read 4-bit codes that are listed as numbers', async () => {
    const list = message(5, varint(0x21), varint(0x43), varint(0x0f));
    for (const [type, values] of [
      [U4, [1, 2, 3, 4, 15]],
      [I4, [1, 2, 3, 4, -1]],
    ] as const) {
      const path = file(
        message(5, tensor('w', [5, 1], type, list)),
        floats('s', [], 2),
        node('DequantizeLinear', ['w', 's'], 'y'),
      );
      await withCheckpoint(path, async (checkpoint) => {
        assert.deepEqual(
          (await readAll(checkpoint)).w,
          values.map((value) => 2 * value),
        );
        const last = new Float32Array(2);
        await checkpoint.tensors[0]!.read(3, last);
        assert.deepEqual([...last], [8, 2 * values[4]]);
      });
    }
  });

  for (const [title, graph] of Object.entries({
    'experts are packed for QMoE': [
      bytes('w', [2, 3], U8, 1, 2, 3, 4, 5, 6),
      floats('s', [2], 1, 2),
      node('QMoE', ['x', 'r', 'w', 's'], 'y'),
    ],
    'scales are computed at run time': [
      bytes('w', [2, 3], 17, 1, 2, 3, 4, 5, 6),
      node('DequantizeLinear', ['w', 's'], 'y'),
    ],
    'scales do not fit': [
      bytes('w', [2, 3], 17, 1, 2, 3, 4, 5, 6),
      floats('s', [5], 1, 2, 3, 4, 5),
      node('DequantizeLinear', ['w', 's'], 'y', integer('axis', 1)),
    ],
    'zero points are computed at run time': [
      bytes('w', [2, 1, 16], U8, ...new Array<number>(32).fill(7)),
      floats('s', [2], 1, 2),
      node('MatMulNBits', ['x', 'w', 's', 'z'], 'y', integer('K', 32), integer('N', 2), integer('block_size', 32)),
    ],
    'blocks are larger than their codes': [
      bytes('w', [2, 1, 16], U8, ...new Array<number>(32).fill(7)),
      floats('s', [2], 1, 2),
      node(
        'MatMulNBits',
        ['x', 'w', 's'],
        'y',
        integer('K', 2 ** 40),
        integer('N', 2 ** 40),
        integer('block_size', 16),
      ),
    ],
    'codes were packed for one device': [
      bytes('w', [2, 1, 16], U8, ...new Array<number>(32).fill(7)),
      floats('s', [2], 1, 2),
      node(
        'MatMulNBits',
        ['x', 'w', 's'],
        'y',
        ...[integer('K', 32), integer('N', 2), integer('block_size', 32), integer('weight_prepacked', 1)],
      ),
    ],
    'rows of a table have no codes': [
      bytes('w', [2, 0], U8),
      floats('s', [2, 1], 1, 2),
      node('GatherBlockQuantized', ['w', 'i', 's'], 'y', integer('bits', 3)),
    ],
  }))
    it(`are named, and never taken for numbers, where ${title}`, async () => {
      await withCheckpoint(file(...graph), async (checkpoint) => {
        assert.match(checkpoint.warnings.join(), /^1 weights are quantized in an unsupported layout: that of \w+\.$/);
        const codes = checkpoint.tensors.find(({ name }) => name === 'w')!;
        await rejectsWith(codes.read(0, new Float32Array(1)), 'unsupported', /codes in an unsupported layout/);
      });
    });

  it('have the norms that onnx computes in float64', async function () {
    this.timeout(120_000);
    const path = checkpointPath(this, '../cases/onnx_matmulnbits_qdq.onnx');
    const expected = python(this, ['onnx', 'numpy'], NORMS, path) as Record<string, number>;
    await withCheckpoint(path, async (checkpoint) => {
      const values = await readAll(checkpoint);
      assert.deepEqual(Object.keys(values).sort(), Object.keys(expected).sort());
      for (const [name, norm] of Object.entries(expected)) {
        const ours = Math.sqrt(values[name]!.reduce((sum, value) => sum + value * value, 0));
        assert.ok(norm > 0 && Math.abs(ours - norm) <= 1e-6 * norm, `${name}: ${ours}, in numpy ${norm}`);
      }
    });
  });
});

const NORMS = `
import sys, json, onnx, numpy as np
from onnx import numpy_helper, reference
model = onnx.load(sys.argv[1])
values = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
norms = {}
for node in model.graph.node:
    if node.op_type == 'MatMulNBits':
        codes, scales = values[node.input[1]], values[node.input[2]].astype(np.float64)
        pairs = np.stack([codes & 15, codes >> 4], -1).reshape(codes.shape[0], codes.shape[1], -1).astype(np.float64)
        norms[node.input[1]] = np.linalg.norm((pairs - 8) * scales.reshape(*codes.shape[:2], 1))
    if node.op_type == 'DequantizeLinear':
        inputs = [values[name] for name in node.input]
        [result] = reference.ReferenceEvaluator(node).run(None, dict(zip(node.input, inputs)))
        norms[node.input[0]] = np.linalg.norm(result.astype(np.float64))
print(json.dumps(norms))
`;
