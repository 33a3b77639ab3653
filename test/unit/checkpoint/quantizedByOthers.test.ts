import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { valuesOf } from '../../../src/checkpoint/tensor.ts';
import { readAll, withCheckpoint } from '../formats/readAll.ts';
import { rejectsWith } from '../formats/rejectsWith.ts';

const FIXTURES = fileURLToPath(new URL('../../fixtures/quantized', import.meta.url));

/** The relative tolerance for sums that the libraries round to f32 at each step, and that are computed in f64 here. */
const ROUNDING = 2 ** -22;
/** The relative tolerance for NVFP4, which compressed-tensors dequantizes to BF16. */
const BF16_ROUNDING = 2 ** -8;

/** The name of a fixture layer's matrix. The experts of transformers are parameters without a module. */
const nameOf = (layer: string) => (layer.startsWith('experts.') ? layer : `${layer}.weight`);

describe('layers quantized by the libraries themselves', () => {
  let expected: Record<string, number[]>;
  const found: Record<string, number[]> = {};
  const shapes = new Map<string, string>();

  before(async () => {
    expected = await withCheckpoint(`${FIXTURES}/expected.safetensors`, (checkpoint) => {
      for (const { name, shape } of checkpoint.tensors) shapes.set(name, shape.join());
      return readAll(checkpoint);
    });
    for (const folder of ['packed', 'packedV2'])
      await withCheckpoint(`${FIXTURES}/${folder}`, async (checkpoint) => {
        const values = await readAll(checkpoint);
        for (const { name, shape } of checkpoint.tensors) {
          found[name] = values[name]!;
          shapes.set(`found ${name}`, shape.join());
        }
      });
  });

  /** Compared bit for bit, because each value is a single product. */
  const EXACT = ['gptq2', 'gptq3', 'gptq4', 'gptq8', 'actOrder', 'actOrderV2', 'awq4', 'nf4', 'fp4'];
  const ROUNDED = ['nf4Nested', 'fp4Nested', 'int8'];
  const COMPRESSED = ['w3', 'w4', 'w8', 'w4Asymmetric', 'w4Channel', 'w4Order', 'intChannel', 'intAsymmetric'];
  const FLOATS = [
    'floatTensor',
    'floatChannel',
    'nvfp4',
    'experts.gate_up_proj',
    'experts.down_proj',
    'deepseek',
    'blocks',
    'fp4Blocks',
  ];
  const MLX = ['mlx2x64', 'mlx3x64', 'mlx4x64', 'mlx4x32', 'mlx5x64', 'mlx6x32', 'mlx8x64'];
  const all = [...EXACT, ...ROUNDED, ...COMPRESSED, ...FLOATS, ...MLX];

  it('include no layer that is not compared', () => {
    assert.deepEqual(Object.keys(expected).sort(), [...all].sort());
    assert.deepEqual(Object.keys(found).sort(), all.map(nameOf).sort());
  });

  for (const layer of all)
    it(`of kind ${layer} have the values that their library computes`, () => {
      const ours = found[nameOf(layer)]!;
      const theirs = expected[layer]!;
      assert.equal(shapes.get(`found ${nameOf(layer)}`), shapes.get(layer));
      const largest = Math.max(...theirs.map(Math.abs));
      assert.ok(largest > 0);
      const rounding = layer === 'nvfp4' ? BF16_ROUNDING : ROUNDING;
      const bound = EXACT.includes(layer) ? 0 : rounding * largest;
      const worst = Math.max(...ours.map((value, k) => Math.abs(value - theirs[k]!)));
      assert.ok(worst <= bound, `off by ${worst}, where ${bound} is allowed`);
    });
});

describe('layers quantized by packages of 2026', () => {
  let expected: Record<string, number[]>;
  const found: Record<string, number[]> = {};
  const shapes = new Map<string, string>();
  const warnings: string[] = [];

  before(async () => {
    expected = await withCheckpoint(`${FIXTURES}/expectedRecent.safetensors`, (checkpoint) => {
      for (const { name, shape } of checkpoint.tensors) shapes.set(name, shape.join());
      return readAll(checkpoint);
    });
    const folders = ['bitnet', 'comfy', 'compressed', 'kerasDense', 'kerasTable', 'metal4', 'metal8', 'quanto'];
    for (const folder of [...folders, 'torchao', 'torchaoPickle'])
      await withCheckpoint(`${FIXTURES}/recent/${folder}`, async (checkpoint) => {
        warnings.push(...checkpoint.warnings);
        for (const tensor of checkpoint.tensors) {
          if (/refused/.test(tensor.name)) {
            await rejectsWith(tensor.read(0, new Float32Array(1)), 'unsupported', /Quanto|rotated weights \(ComfyUI\)/);
            continue;
          }
          if (/bias$|vars\/[12]$/.test(tensor.name)) continue;
          found[tensor.name] = [...(await valuesOf(tensor))];
          shapes.set(`found ${tensor.name}`, tensor.shape.join());
        }
        // Written beside decoded layers, a description of their layout would be false.
        const named = [...checkpoint.metadata.keys()].some((key) => key === '_quantization_metadata');
        assert.equal(named, folder === 'comfy');
      });
  });

  it('include no layer that is not compared', () => {
    assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort());
    assert.equal(Object.keys(expected).length, 27);
    assert.match(warnings.join('\n'), /1 layers are quantized in an unsupported layout: Quanto\./);
  });

  it('have the values that their package computes', () => {
    for (const [layer, theirs] of Object.entries(expected)) {
      const ours = found[layer]!;
      assert.equal(shapes.get(`found ${layer}`), shapes.get(layer), layer);
      const largest = Math.max(...theirs.map(Math.abs));
      assert.ok(largest > 0);
      const worst = Math.max(...ours.map((value, k) => Math.abs(value - theirs[k]!)));
      assert.ok(worst <= ROUNDING * largest, `${layer} is off by ${worst}, where ${ROUNDING * largest} is allowed`);
    }
  });
});
