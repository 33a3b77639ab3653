import { fuzz } from './fuzz.ts';
import { f32File } from './safetensorsBytes.ts';

fuzz('safetensors', () => ({
  'model.safetensors': f32File(
    {
      'model.embed.weight': { shape: [3, 2], values: [1, 2, 3, 4, 5, 6] },
      __proto__: { shape: [2], values: [1, 2] },
      scalar: { shape: [], values: [1] },
    },
    { format: 'pt' },
  ),
  'model.safetensors.index.json': Buffer.from(
    JSON.stringify({ metadata: { total_size: 8 }, weight_map: { a: 'model.safetensors', b: 'two.safetensors' } }),
  ),
}));
