import assert from 'node:assert/strict';
import { elementCount } from '../../../src/base/shape.ts';
import { notAMatrix } from '../../../src/model/layout/notAMatrix.ts';
import { testFolder } from '../formats/folder.ts';
import { readAll, withCheckpoint } from '../formats/readAll.ts';
import { rejectsWith } from '../formats/rejectsWith.ts';
import { f32, fileOf, type Stored, u8, words } from '../formats/storedFile.ts';

const code = (i: number, bits: number) => (i * 7 + (i >> 2)) & ((1 << bits) - 1);
const codes = (count: number, bits: number) => Array.from({ length: count }, (_, i) => code(i, bits));
const near = (actual: readonly number[] | undefined, expected: readonly number[]) =>
  assert.deepEqual(actual, [...new Float32Array(expected)]);

describe('quantized matrices', () => {
  const folder = testFolder();

  /**
   * Opens the tensors, checks that they appear only as the matrix `w.weight`, and compares its values, whole and in
   * part.
   */
  async function shows(
    tensors: Readonly<Record<string, Stored>>,
    shape: readonly number[],
    dtype: string,
    expected: readonly number[],
  ) {
    await withCheckpoint(folder.write('model.safetensors', fileOf(tensors)), async (checkpoint) => {
      assert.deepEqual(
        checkpoint.tensors.map((tensor) => [tensor.name, tensor.shape, tensor.dtype]),
        [['w.weight', shape, dtype]],
      );
      assert.match(checkpoint.warnings.join(), /stored quantized/);
      near((await readAll(checkpoint))['w.weight'], expected);
      const tensor = checkpoint.tensors[0]!;
      const part = new Float32Array(expected.length - 5);
      await tensor.read(3, part);
      near([...part], expected.slice(3, -2));
      assert.equal(tensor.readStored?.(0, new Uint8Array(4)), undefined);
    });
  }

  for (const [version, shift] of [
    ['gptq', 1],
    ['gptq_v2', 0],
  ] as const)
    for (const bits of [4, 8])
      it(`dequantizes ${version} with ${bits} bits`, async () => {
        const [inputs, outputs, groups, perWord] = [32, 8, 2, 32 / bits];
        folder.write('config.json', JSON.stringify({ quantization_config: { checkpoint_format: version } }));
        const q = (input: number, output: number) => code(input * 3 + output, bits);
        const zero = (group: number, output: number) => code(group + output, bits - 1);
        const scale = (group: number, output: number) => (group + 1) / (output + 2);
        // The group of each input is explicit, as with act-order.
        const order = Array.from({ length: inputs }, (_, i) => (i * 5) % groups);
        const packed = new Uint32Array((inputs / perWord) * outputs);
        for (let line = 0; line < inputs / perWord; line++)
          for (let output = 0; output < outputs; output++)
            packed[line * outputs + output] = words(
              Array.from({ length: perWord }, (_, k) => q(line * perWord + k, output)),
              bits,
            )[0]!;
        const zeros = [0, 1].flatMap((group) => [
          ...words(
            Array.from({ length: outputs }, (_, output) => zero(group, output)),
            bits,
          ),
        ]);
        const expected: number[] = [];
        for (let output = 0; output < outputs; output++)
          for (let input = 0; input < inputs; input++) {
            const group = order[input]!;
            const s = Math.fround(scale(group, output));
            expected.push(s * (q(input, output) - zero(group, output) - shift));
          }
        await shows(
          {
            'w.qweight': { dtype: 'I32', shape: [inputs / perWord, outputs], data: packed },
            'w.qzeros': { dtype: 'I32', shape: [groups, outputs / perWord], data: new Uint32Array(zeros) },
            'w.scales': f32(
              [groups, outputs],
              [0, 1].flatMap((g) => Array.from({ length: outputs }, (_, o) => scale(g, o))),
            ),
            'w.g_idx': { dtype: 'I32', shape: [inputs], data: new Int32Array(order) },
          },
          [outputs, inputs],
          `GPTQ${bits}`,
          expected,
        );
      });

  it('dequantizes AWQ', async () => {
    const [inputs, outputs, groups] = [8, 16, 2];
    const q = (input: number, output: number) => code(input * 5 + output * 3, 4);
    const zero = (group: number, output: number) => code(group * 3 + output, 4);
    const scale = (group: number, output: number) => (group + 1) / (output + 2);
    // AutoAWQ packs the outputs 0, 2, 4, 6, 1, 3, 5, 7 of each eight into a word.
    const line = (value: (output: number) => number) => [
      ...words(
        Array.from({ length: outputs }, (_, i) => value(i - (i % 8) + [0, 2, 4, 6, 1, 3, 5, 7][i % 8]!)),
        4,
      ),
    ];
    const expected: number[] = [];
    for (let output = 0; output < outputs; output++)
      for (let input = 0; input < inputs; input++) {
        const group = Math.floor(input / 4);
        expected.push(Math.fround(scale(group, output)) * (q(input, output) - zero(group, output)));
      }
    await shows(
      {
        'w.qweight': {
          dtype: 'I32',
          shape: [inputs, outputs / 8],
          data: new Uint32Array(Array.from({ length: inputs }, (_, i) => line((o) => q(i, o))).flat()),
        },
        'w.qzeros': {
          dtype: 'I32',
          shape: [groups, outputs / 8],
          data: new Uint32Array([0, 1].flatMap((g) => line((o) => zero(g, o)))),
        },
        'w.scales': f32(
          [groups, outputs],
          [0, 1].flatMap((g) => Array.from({ length: outputs }, (_, o) => scale(g, o))),
        ),
      },
      [outputs, inputs],
      'AWQ4',
      expected,
    );
  });

  for (const [bits, groupSize] of [
    [4, 64],
    [8, 32],
    [3, 32],
    [6, 64],
  ] as const)
    it(`dequantizes MLX with ${bits} bits in groups of ${groupSize}`, async () => {
      folder.write('config.json', JSON.stringify({ quantization: { bits, group_size: groupSize } }));
      const [rows, groups] = [3, 2];
      const cols = groups * groupSize;
      const q = codes(rows * cols, bits);
      const scales = Array.from({ length: rows * groups }, (_, i) => 2 ** -i);
      const biases = Array.from({ length: rows * groups }, (_, i) => i - 2);
      await shows(
        {
          'w.weight': { dtype: 'U32', shape: [rows, (cols * bits) / 32], data: words(q, bits) },
          'w.scales': f32([rows, groups], scales),
          'w.biases': f32([rows, groups], biases),
        },
        [rows, cols],
        `MLX${bits}`,
        q.map((value, i) => scales[Math.floor(i / groupSize)]! * value + biases[Math.floor(i / groupSize)]!),
      );
    });

  it('dequantizes bitsandbytes in 4 bits with nested scales', async () => {
    const map = Array.from({ length: 16 }, (_, i) => (i - 7) / 8);
    const q = codes(6 * 32, 4);
    const absmax = [3, 255, 0];
    const nestedMap = Array.from({ length: 256 }, (_, i) => i / 256);
    const state = Buffer.from(
      JSON.stringify({ quant_type: 'nf4', blocksize: 64, shape: [6, 32], nested_blocksize: 256, nested_offset: 0.5 }),
    );
    const bytes = Array.from({ length: q.length / 2 }, (_, i) => (q[2 * i]! << 4) | q[2 * i + 1]!);
    await shows(
      {
        'w.weight': u8([bytes.length, 1], bytes),
        'w.weight.absmax': u8([3], absmax),
        'w.weight.nested_absmax': f32([1], [2]),
        'w.weight.nested_quant_map': f32([256], nestedMap),
        'w.weight.quant_map': f32([16], map),
        'w.weight.quant_state.bitsandbytes__nf4': u8([state.length], [...state]),
      },
      [6, 32],
      'NF4',
      q.map((value, i) => map[value]! * (nestedMap[absmax[Math.floor(i / 64)]!]! * 2 + 0.5)),
    );
  });

  it('dequantizes bitsandbytes in 8 bits', async () => {
    const q = [127, -127, 5, 0, 64, -1];
    await shows(
      { 'w.weight': { dtype: 'I8', shape: [2, 3], data: new Int8Array(q) }, 'w.SCB': f32([2], [2.54, 127]) },
      [2, 3],
      'LLM.int8',
      q.map((value, i) => Math.fround(value * (Math.fround(i < 3 ? 2.54 : 127) / 127))),
    );
  });

  it('scales 8-bit floats per block, row and matrix', async () => {
    const one = 0x38;
    const block = u8([130, 129], Array<number>(130 * 129).fill(one));
    await shows(
      { 'w.weight': { ...block, dtype: 'F8_E4M3' }, 'w.weight_scale_inv': f32([2, 2], [1, 2, 3, 4]) },
      [130, 129],
      'F8_E4M3 scaled',
      Array.from({ length: 130 * 129 }, (_, i) => 1 + (i % 129 >= 128 ? 1 : 0) + (i >= 128 * 129 ? 2 : 0)),
    );
    const small: Stored = { ...u8([2, 4], Array<number>(8).fill(one)), dtype: 'F8_E4M3' };
    const type = 'F8_E4M3 scaled';
    await shows({ 'w.weight': small, 'w.weight_scale': f32([2, 1], [5, 6]) }, [2, 4], type, [5, 5, 5, 5, 6, 6, 6, 6]);
    await shows({ 'w.weight': small, 'w.weight_scale': f32([], [7]) }, [2, 4], type, Array<number>(8).fill(7));
  });

  // The arithmetic of MLX's `fp_dequantize`: codes start at the lowest bits; groups of 16 have E4M3 scales, groups of
  // 32 powers of two.
  for (const [mode, size, bits, scale, value] of [
    ['NVFP4', 16, 4, 0x3c, 1.5],
    ['MXFP4', 32, 4, 129, 4],
    ['MXFP8', 32, 8, 126, 0.5],
  ] as const)
    it(`dequantizes MLX in ${mode}`, async () => {
      const [rows, groups] = [3, 2];
      const own = codes(rows * groups * size, bits).map((each) => (bits === 8 ? each & 0x77 : each));
      const small = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
      const of4 = (each: number) => (each & 8 ? -1 : 1) * small[each & 7]!;
      const of8 = (each: number) =>
        each >> 3 === 0 ? (each & 7) * 2 ** -9 : (1 + (each & 7) / 8) * 2 ** (((each >> 3) & 15) - 7);
      await shows(
        {
          'w.weight': { dtype: 'U32', shape: [rows, (groups * size * bits) / 32], data: words(own, bits) },
          'w.scales': u8([rows, groups], new Array(rows * groups).fill(scale)),
        },
        [rows, groups * size],
        mode,
        own.map((each) => value * (bits === 4 ? of4(each) : of8(each))),
      );
    });

  it('dequantizes MXFP4', async () => {
    const values = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];
    const q = codes(64, 4);
    const bytes = Array.from({ length: 32 }, (_, i) => q[2 * i]! | (q[2 * i + 1]! << 4));
    const tensors = { 'w.weight_blocks': u8([2, 1, 16], bytes), 'w.weight_scales': u8([2, 1], [127, 130]) };
    await shows(
      tensors,
      [2, 32],
      'MXFP4',
      q.map((value, i) => values[value]! * (i < 32 ? 1 : 8)),
    );
  });

  it('dequantizes packed integers of compressed-tensors', async () => {
    const q = codes(2 * 16, 4);
    const scales = [1, 2, 3, 4];
    await shows(
      {
        'w.weight_packed': { dtype: 'I32', shape: [2, 2], data: words(q, 4) },
        'w.weight_scale': f32([2, 2], scales),
        'w.weight_shape': { dtype: 'I64', shape: [2], data: new BigInt64Array([2n, 16n]) },
      },
      [2, 16],
      'W4',
      q.map((value, i) => scales[Math.floor(i / 8)]! * (value - 8)),
    );
  });

  it('refuses to read a layer whose parts do not fit together, and warns about it', async () => {
    const bytes = fileOf({
      'w.weight': { dtype: 'U32', shape: [2, 8], data: new Uint32Array(16) },
      'w.scales': f32([3, 1], [1, 2, 3]),
      'w.biases': f32([3, 1], [1, 2, 3]),
      'w.bias': f32([2], [5, 6]),
    });
    await withCheckpoint(folder.write('model.safetensors', bytes), async (checkpoint) => {
      assert.equal(checkpoint.tensors.length, 4);
      assert.match(
        checkpoint.warnings.join(),
        /1 layers are quantized in an unsupported layout: an unknown form of MLX/,
      );
      for (const { name, shape } of checkpoint.tensors) {
        const out = new Float32Array(elementCount(shape));
        const reading = checkpoint.tensors.find((each) => each.name === name)!.read(0, out);
        if (name === 'w.bias') await reading;
        else await rejectsWith(reading, 'unsupported', /unsupported layout: an unknown form of MLX/);
      }
    });
  });

  for (const [layout, parts] of Object.entries({
    HQQ: { 'w.W_q': 'U8', 'w.scale': 'F16', 'w.zero': 'F16' },
    Quanto: {
      'w.weight._data._data': 'U8',
      'w.weight._scale': 'F16',
      'w.weight._shift': 'F16',
      'w.input_scale': 'F32',
    },
    torchao: { 'w._weight_qdata': 'I8', 'w._weight_scale': 'F32' },
    AQLM: { 'w.codes': 'I16', 'w.codebooks': 'F16', 'w.scales': 'F16' },
    Marlin: { 'w.B': 'I32', 'w.s': 'F16' },
    'codes with scales in an unknown layout': { 'w.weight': 'U8', 'w.weight_scale': 'F16' },
    EETQ: { 'w.weight': 'I8', 'w.weight_scales': 'F16' },
    'an unknown form of GPTQ or AWQ': { 'w.qweight': 'I16', 'w.scales': 'F16', 'w.qzeros': 'F16' },
    'an unknown form of LLM.int8': { 'w.weight': 'I8', 'w.SCB': 'F32', 'w.weight_format': 'U8' },
  }))
    it(`names the unsupported layout ${layout}`, async () => {
      const sizes: Record<string, number> = { F16: 2, F32: 4, I8: 1, U8: 1, I16: 2, I32: 4 };
      const tensors = Object.entries(parts).map(([name, dtype]) => {
        const count = name.endsWith('weight_format') ? 1 : 8 * 8;
        const data = new Uint8Array(count * sizes[dtype]!).fill(1);
        return [name, { dtype, shape: count === 1 ? [] : name.endsWith('SCB') ? [64] : [8, 8], data }] as const;
      });
      const dense = { 'dense.weight': f32([1, 2], [1, 2]), 'dense.scale': f32([1], [3]) };
      const bytes = fileOf({ ...Object.fromEntries(tensors), ...dense });
      await withCheckpoint(folder.write('model.safetensors', bytes), async (checkpoint) => {
        assert.match(
          checkpoint.warnings.join(),
          new RegExp(`^1 layers are quantized in an unsupported layout: ${layout}`),
        );
        for (const tensor of checkpoint.tensors) {
          const reading = tensor.read(0, new Float32Array(1));
          // The reason is shown in the list of what is not analyzed.
          const reason = notAMatrix(tensor) ?? '';
          assert.equal(/unsupported layout/.test(reason), !tensor.name.startsWith('dense.'), reason);
          if (tensor.name.startsWith('dense.')) await reading;
          else await rejectsWith(reading, 'unsupported', /quantized in an unsupported layout/);
        }
      });
    });
});
