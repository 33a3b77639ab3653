import { fuzz } from '../fuzz.ts';

fuzz('tfjs', () => ({
  'a.bin': Buffer.alloc(40, 1),
  'model.json': Buffer.from(
    JSON.stringify({
      format: 'layers-model',
      modelTopology: {},
      weightsManifest: [
        {
          paths: ['a.bin'],
          weights: [
            { name: 'w', shape: [2, 3], dtype: 'float32' },
            { name: 'q', shape: [4], dtype: 'float32', quantization: { dtype: 'uint8', scale: 0.1, min: -2 } },
          ],
        },
      ],
    }),
  ),
}));
