import assert from 'node:assert/strict';
import { elementCount } from '../../../src/base/shape.ts';
import { checkpointPath } from '../formats/checkpointFiles.ts';
import { testFolder } from '../formats/folder.ts';
import { f32s, ggufBytes } from '../formats/gguf/ggufBytes.ts';
import { python } from '../formats/python.ts';
import { readAll, withCheckpoint } from '../formats/readAll.ts';
import { rejectsWith } from '../formats/rejectsWith.ts';
import { f32, fileOf, type Stored, u8 } from '../formats/storedFile.ts';

/** Any codes of E4M3 without NaN, and their values by the definition of the format. */
const code8 = (i: number) => [(i * 37) & 0x7e, ((i * 37) & 0x7e) | 0x80][i % 2]!;
const value8 = (code: number) => {
  const [exponent, mantissa] = [(code >> 3) & 15, (code & 7) / 8];
  const size = exponent === 0 ? mantissa * 2 ** -6 : (1 + mantissa) * 2 ** (exponent - 7);
  return code & 128 ? -size : size;
};
const floats8 = (shape: readonly number[]): Stored => ({
  dtype: 'F8_E4M3',
  shape,
  data: Uint8Array.from({ length: elementCount(shape) }, (_, i) => code8(i)),
});
/** 4-bit floats, two in a byte with the first in the low bits, and the value of each. */
const code4 = (i: number) => (i * 5 + (i >> 3)) & 15;
const value4 = (code: number) => [0, 0.5, 1, 1.5, 2, 3, 4, 6][code & 7]! * (code & 8 ? -1 : 1);
const pairs4 = (shape: readonly number[], dtype: string): Stored => ({
  dtype,
  shape,
  data: Uint8Array.from({ length: elementCount(shape) }, (_, i) => code4(2 * i) | (code4(2 * i + 1) << 4)),
});
const exponents = (shape: readonly number[], values: readonly number[], dtype = 'F8_E8M0'): Stored => ({
  dtype,
  shape,
  data: Uint8Array.from(values),
});

describe('scales under other names', () => {
  const folder = testFolder();

  /** The values of the only tensor that a file with these tensors shows, which must be `name`. */
  async function valuesOf(tensors: Readonly<Record<string, Stored>>, name: string, shape: readonly number[]) {
    return withCheckpoint(folder.write('model.safetensors', fileOf(tensors)), async (checkpoint) => {
      assert.deepEqual(
        checkpoint.tensors.map((tensor) => [tensor.name, tensor.shape]),
        [[name, shape]],
      );
      return (await readAll(checkpoint))[name]!;
    });
  }

  for (const scale of ['scale_weight', 'qscale_weight', 'scale', 'weights_scaling_factor', 'weight_scale'])
    it(`multiplies 8-bit floats by their ${scale}, for the matrix or for each row`, async () => {
      for (const scales of [f32([], [0.25]), f32([1], [0.25]), f32([4, 1], [0.25, 2, 3, 4])]) {
        const factors = new Float32Array(scales.data.buffer);
        const inputs = scale === 'scale_weight' ? { 'w.scale_input': f32([], [9]) } : { 'w.input_scale': f32([], [9]) };
        const tensors = { 'w.weight': floats8([4, 6]), [`w.${scale}`]: scales, ...inputs };
        const values = await valuesOf(tensors, 'w.weight', [4, 6]);
        assert.deepEqual(
          values,
          values.map((_, i) => factors[factors.length > 1 ? Math.floor(i / 6) : 0]! * value8(code8(i))),
        );
      }
    });

  it('leaves out the marker of ComfyUI for a whole file', async () => {
    const marker: Stored = { dtype: 'F8_E4M3', shape: [0], data: new Uint8Array(0) };
    const tensors = { scaled_fp8: marker, 'w.weight': floats8([4, 6]), 'w.scale_weight': f32([], [2]) };
    await valuesOf(tensors, 'w.weight', [4, 6]);
  });

  it('takes one scale for each output of each expert, which ModelOpt stores as (in, out)', async () => {
    const tensors = { gate_up_proj: floats8([2, 3, 4]), gate_up_proj_scale: f32([2, 4], [1, 2, 3, 4, 5, 6, 7, 8]) };
    const values = await valuesOf(tensors, 'gate_up_proj', [2, 3, 4]);
    assert.deepEqual(
      values,
      values.map((_, i) => ((i % 4) + 1 + (i < 12 ? 0 : 4)) * value8(code8(i))),
    );
  });

  it('multiplies convolutions and vectors of 8-bit floats by their scales', async () => {
    const kernel = await valuesOf(
      { 'c.weight': floats8([3, 2, 2, 2]), 'c.scale_weight': f32([3, 1, 1, 1], [1, 2, 4]) },
      'c.weight',
      [3, 2, 2, 2],
    );
    assert.deepEqual(
      kernel,
      kernel.map((_, i) => 2 ** Math.floor(i / 8) * value8(code8(i))),
    );
    const vector = await valuesOf({ 'n.weight': floats8([5]), 'n.scale_weight': f32([], [2]) }, 'n.weight', [5]);
    assert.deepEqual(
      vector,
      vector.map((_, i) => 2 * value8(code8(i))),
    );
  });

  it('reads scales of blocks that are powers of two, declared as such or as bytes', async () => {
    for (const dtype of ['F8_E8M0', 'U8']) {
      const blocks = exponents([3, 2], [127, 128, 126, 129, 125, 127], dtype);
      const values = await valuesOf({ 'w.weight': floats8([3, 64]), 'w.weight_scale': blocks }, 'w.weight', [3, 64]);
      const factors = [1, 2, 0.5, 4, 0.25, 1];
      assert.deepEqual(
        values,
        values.map((_, i) => factors[Math.floor(i / 32)]! * value8(code8(i))),
      );
    }
  });

  for (const dtype of ['I8', 'F4'])
    it(`decodes the 4-bit experts that DeepSeek stores as ${dtype} with a scale`, async () => {
      const codes = { ...pairs4([2, 32], dtype), shape: dtype === 'F4' ? [2, 64] : [2, 32] };
      const tensors = { 'w1.weight': codes, 'w1.scale': exponents([2, 2], [127, 130, 125, 128]) };
      const values = await valuesOf(tensors, 'w1.weight', [2, 64]);
      const factors = [1, 8, 0.25, 2];
      assert.deepEqual(
        values.map((value) => value + 0),
        values.map((_, i) => factors[Math.floor(i / 32)]! * value4(code4(i)) + 0),
      );
    });

  it('decodes stacks of 4-bit floats with one scale for each expert', async () => {
    const tensors = {
      gate_up_proj: pairs4([2, 3, 16], 'U8'),
      gate_up_proj_scale: { ...u8([2, 3, 2], new Array(12).fill(0x40)), dtype: 'F8_E4M3' },
      gate_up_proj_scale_2: f32([2], [0.5, 3]),
    };
    const values = await valuesOf(tensors, 'gate_up_proj', [2, 3, 32]);
    assert.deepEqual(
      values.map((value) => value + 0),
      values.map((_, i) => 2 * (i < 96 ? 0.5 : 3) * value4(code4(i)) + 0),
    );
  });

  it("decodes MXFP4 under the names of OpenAI's own files", async () => {
    const tensors = {
      'mlp.mlp1_weight.blocks': pairs4([2, 3, 1, 16], 'U8'),
      'mlp.mlp1_weight.scales': u8([2, 3, 1], [127, 128, 126, 127, 129, 125]),
    };
    const values = await valuesOf(tensors, 'mlp.mlp1_weight', [2, 3, 32]);
    const factors = [1, 2, 0.5, 1, 4, 0.25];
    assert.deepEqual(
      values.map((value) => value + 0),
      values.map((_, i) => factors[Math.floor(i / 32)]! * value4(code4(i)) + 0),
    );
  });

  it('multiplies the weights of a GGUF file by the scale beside them, one for each expert of a stack', async () => {
    const tensors = [
      { name: 'blk.0.ffn_up.weight', dimensions: [2, 3], type: 0, data: f32s(1, 2, 3, 4, 5, 6) },
      { name: 'blk.0.ffn_up.scale', dimensions: [1], type: 0, data: f32s(0.5) },
      {
        name: 'blk.0.ffn_up_exps.weight',
        dimensions: [1, 2, 2],
        type: 1,
        data: Buffer.from('003c003c003c003c', 'hex'),
      },
      { name: 'blk.0.ffn_up_exps.scale', dimensions: [2], type: 0, data: f32s(3, 4) },
    ];
    await withCheckpoint(folder.write('model.gguf', ggufBytes({ tensors })), async (checkpoint) => {
      assert.deepEqual(await readAll(checkpoint), {
        'blk.0.ffn_up.weight': [0.5, 1, 1.5, 2, 2.5, 3],
        'blk.0.ffn_up_exps.weight': [3, 3, 4, 4],
      });
    });
  });

  it('takes the bits of MLX from the size of its groups where the configuration says no more', async () => {
    folder.write('config.json', JSON.stringify({ quantization: { group_size: 32, bits: 4 } }));
    const of = (bits: number, cols: number) => ({
      [`m${bits}.weight`]: {
        dtype: 'U32',
        shape: [2, (cols * bits) / 32],
        data: new Uint32Array((2 * cols * bits) / 32),
      },
      [`m${bits}.scales`]: f32([2, cols / 32], new Array<number>((2 * cols) / 32).fill(1)),
      [`m${bits}.biases`]: f32([2, cols / 32], new Array<number>((2 * cols) / 32).fill(7)),
    });
    const bytes = fileOf({ ...of(4, 64), ...of(8, 96), ...of(6, 32) });
    await withCheckpoint(folder.write('model.safetensors', bytes), async (checkpoint) => {
      assert.deepEqual(
        checkpoint.tensors.map(({ name, shape, dtype }) => [name, shape, dtype]),
        [
          ['m4.weight', [2, 64], 'MLX4'],
          ['m8.weight', [2, 96], 'MLX8'],
          ['m6.weight', [2, 32], 'MLX6'],
        ],
      );
    });
  });

  it('takes 8-bit floats without any scale for the values themselves', async () => {
    const tensors = { 'w.weight': floats8([4, 6]), 'w.bias': f32([4], [1, 2, 3, 4]), 'w.input_scale': f32([], [3]) };
    await withCheckpoint(folder.write('model.safetensors', fileOf(tensors)), async (checkpoint) => {
      assert.deepEqual(checkpoint.warnings, []);
      const values = (await readAll(checkpoint))['w.weight']!;
      assert.deepEqual(
        values,
        values.map((_, i) => value8(code8(i))),
      );
    });
  });

  for (const [title, tensors] of Object.entries({
    'a scale of an unknown name': { 'w.weight': floats8([4, 6]), 'w.wscl': f32([4], [1, 2, 3, 4]) },
    'a scale of a shape that fits nothing': {
      'w.weight': floats8([4, 6]),
      'w.scale_weight': f32([5], [1, 2, 3, 4, 5]),
    },
    'a scale below the weight': { 'w.weight': floats8([4, 6]), 'w.weight.scale': f32([], [2]) },
    'scales of a bare parameter': { gate_proj: floats8([2, 4, 6]), gate_proj_qscales: f32([2], [1, 2]) },
    'packed codes with a scale of an unknown name': {
      w_q: u8([4, 6], new Array(24).fill(1)),
      w_q_absmax: f32([4], [1, 2, 3, 4]),
    },
    'a scale in a parameter of several tensors': { 'w.qcodes': floats8([4, 6]), 'w.scale': f32([4], [1, 2, 3, 4]) },
    'inputs smoothed by a vector': {
      'w.weight': floats8([4, 6]),
      'w.weight_scale': f32([], [2]),
      'w.pre_quant_scale': f32([6], [1, 2, 3, 4, 5, 6]),
    },
  }))
    it(`never takes codes for weights beside ${title}`, async () => {
      await withCheckpoint(folder.write('model.safetensors', fileOf(tensors)), async (checkpoint) => {
        assert.match(checkpoint.warnings.join(), /^1 layers are quantized in an unsupported layout: /);
        for (const tensor of checkpoint.tensors)
          await rejectsWith(tensor.read(0, new Float32Array(1)), 'unsupported', /quantized in an unsupported layout/);
      });
    });

  it('names the method of the configuration where the names of the tensors do not tell', async () => {
    folder.write('config.json', JSON.stringify({ quantization_config: { quant_method: 'newest' } }));
    const tensors = { 'w.weight': floats8([4, 6]), 'w.wscl': f32([4], [1, 2, 3, 4]) };
    await withCheckpoint(folder.write('model.safetensors', fileOf(tensors)), (checkpoint) => {
      assert.match(checkpoint.warnings.join(), /unknown layout \(quant_method: newest\)/);
    });
  });

  for (const format of ['gptq_p', 'marlin', 'gemv_fast'])
    it(`names the form ${format} of GPTQ or AWQ, whose tensors have the plain names`, async () => {
      folder.write('quantize_config.json', JSON.stringify({ bits: 4, checkpoint_format: format }));
      const i32 = (shape: readonly number[]): Stored => ({
        dtype: 'I32',
        shape,
        data: new Int32Array(elementCount(shape)),
      });
      const tensors = {
        'w.qweight': i32([4, 8]),
        'w.qzeros': i32([1, 1]),
        'w.scales': f32([1, 8], new Array(8).fill(1)),
      };
      await withCheckpoint(folder.write('model.safetensors', fileOf(tensors)), async (checkpoint) => {
        assert.match(checkpoint.warnings.join(), new RegExp(`the form ${format} of GPTQ or AWQ`));
        await rejectsWith(checkpoint.tensors[0]!.read(0, new Float32Array(1)), 'unsupported', /unsupported layout/);
      });
    });

  it('takes the second form of GPTQ by either of its names in the configuration', async () => {
    const i32 = (shape: readonly number[], word: number): Stored => ({
      dtype: 'I32',
      shape,
      data: new Int32Array(elementCount(shape)).fill(word),
    });
    const tensors = {
      'w.qweight': i32([1, 8], 0x33333333),
      'w.qzeros': i32([1, 1], 0x11111111),
      'w.scales': f32([1, 8], new Array<number>(8).fill(1)),
    };
    for (const [key, value] of [
      ['checkpoint_format', 2],
      ['format', 2],
      ['quant_method', 1],
    ] as const) {
      folder.write('quantize_config.json', JSON.stringify({ [key]: 'gptq_v2' }));
      assert.deepEqual(await valuesOf(tensors, 'w.weight', [8, 8]), new Array(64).fill(value));
    }
  });

  it('refuses the 4-bit codes of ChatGLM, which have the names and types of 8-bit ones', async () => {
    folder.write('config.json', JSON.stringify({ quantization_bit: 4 }));
    const codes: Stored = { dtype: 'I8', shape: [4, 3], data: new Int8Array(12).fill(0x21) };
    const tensors = { 'w.weight': codes, 'w.weight_scale': f32([4], [1, 2, 3, 4]) };
    await withCheckpoint(folder.write('model.safetensors', fileOf(tensors)), async (checkpoint) => {
      assert.match(checkpoint.warnings.join(), /ChatGLM in 4 bits/);
      await rejectsWith(checkpoint.tensors[0]!.read(0, new Float32Array(1)), 'unsupported', /ChatGLM in 4 bits/);
    });
  });

  it('ignores broken metadata about quantized layers', async () => {
    const header = { __metadata__: { _quantization_metadata: '{"layers', tensor_names: '["a' } };
    const bytes = fileOf({ 'w.weight': floats8([4, 6]), 'w.scale_weight': f32([], [2]) });
    const length = Number(bytes.readBigUInt64LE());
    const json = Buffer.from(JSON.stringify({ ...JSON.parse(bytes.toString('utf8', 8, 8 + length)), ...header }));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(json.length));
    const path = folder.write('model.safetensors', Buffer.concat([size, json, bytes.subarray(8 + length)]));
    await withCheckpoint(path, (checkpoint) => assert.equal(checkpoint.tensors.length, 1));
  });

  it('gives the values that torch computes from the codes and scales of real layouts', async function () {
    this.timeout(120_000);
    const paths = ['comfy_scale_weight_fp8.safetensors', 'deepseek_v4_scale', 'gptoss_original_names'].map((name) =>
      checkpointPath(this, `../cases/${name}`),
    );
    const expected = python(this, ['torch', 'safetensors'], NORMS, ...paths) as Record<string, number>;
    const found: Record<string, number> = {};
    for (const path of paths)
      await withCheckpoint(path, async (checkpoint) => {
        for (const [name, values] of Object.entries(await readAll(checkpoint)))
          found[name] = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
      });
    assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort());
    for (const [name, norm] of Object.entries(expected)) {
      assert.ok(norm > 0);
      assert.ok(Math.abs(found[name]! - norm) <= 1e-6 * norm, `${name}: ${found[name]}, in torch ${norm}`);
    }
  });
});

/** The norm of each matrix in float64, from torch's own 8-bit types. */
const NORMS = `
import json, sys, glob, os, torch
from safetensors.torch import load_file
E2M1 = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6], dtype=torch.float64)
def pairs(codes):
    codes = codes.view(torch.uint8)
    return E2M1[torch.stack([codes & 15, codes >> 4], -1).long()].flatten(-2)
norms = {}
for path in sys.argv[1:]:
    tensors = load_file(path if os.path.isfile(path) else path + '/model.safetensors')
    for name, codes in tensors.items():
        stem = name.removesuffix('.weight')
        if name.endswith('.blocks'):
            scales = tensors[name.removesuffix('blocks') + 'scales']
            norms[name.removesuffix('.blocks')] = (pairs(codes) * (2.0 ** (scales.double() - 127))[..., None]).norm().item()
        elif not name.endswith('.weight'):
            continue
        elif stem + '.scale_weight' in tensors:
            norms[name] = (codes.double() * tensors[stem + '.scale_weight'].double()).norm().item()
        elif stem + '.scale' in tensors:
            scale = tensors[stem + '.scale'].float().double()
            values = pairs(codes) if codes.dtype == torch.int8 else codes.double()
            down, across = [-(-n // s) for n, s in zip(values.shape, scale.shape)]
            wide = scale.repeat_interleave(down, 0).repeat_interleave(across, 1)
            norms[name] = (values * wide[: values.shape[0], : values.shape[1]]).norm().item()
        else:
            norms[name] = codes.double().norm().item()
print(json.dumps(norms))
`;
