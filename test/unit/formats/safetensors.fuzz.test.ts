import { fuzz } from './fuzz.ts';
import { f32File } from './safetensorsBytes.ts';
import { f32, fileOf, u8 } from './storedFile.ts';

fuzz('safetensors', () => ({
  'model.safetensors': f32File(
    {
      'model.embed.weight': { shape: [3, 2], values: [1, 2, 3, 4, 5, 6] },
      __proto__: { shape: [2], values: [1, 2] },
      scalar: { shape: [], values: [1] },
    },
    { format: 'pt' },
  ),
  'quantized.safetensors': fileOf({
    'm.weight': { dtype: 'U32', shape: [2, 8], data: new Uint32Array(16) },
    'm.scales': f32([2, 1], [1, 2]),
    'm.biases': f32([2, 1], [1, 2]),
    'g.qweight': { dtype: 'I32', shape: [2, 8], data: new Uint32Array(16) },
    'g.qzeros': { dtype: 'I32', shape: [1, 1], data: new Uint32Array(1) },
    'g.scales': f32([1, 8], [1, 2, 3, 4, 5, 6, 7, 8]),
    'b.weight': u8([32, 1], Array<number>(32).fill(7)),
    'b.weight.absmax': f32([1], [2]),
    'b.weight.quant_map': f32([16], Array<number>(16).fill(1)),
    'b.weight.quant_state.bitsandbytes__nf4': u8([34], [...Buffer.from('{"blocksize": 64, "shape": [8, 8]}')]),
  }),
  'model.safetensors.index.json': Buffer.from(
    JSON.stringify({ metadata: { total_size: 8 }, weight_map: { a: 'model.safetensors', b: 'two.safetensors' } }),
  ),
}));
