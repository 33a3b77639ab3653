import { fuzz } from '../fuzz.ts';
import { f32s, ggufBytes, text, u32, u64 } from './ggufBytes.ts';

fuzz('gguf', () => ({
  'model.gguf': ggufBytes({
    metadata: [
      ['general.architecture', 8, text('llama')],
      ['tokens', 9, Buffer.concat([u32(8), u64(2), text('a'), text('b')])],
      ['scores', 9, Buffer.concat([u32(6), u64(3), f32s(1, 2, 3)])],
    ],
    tensors: [
      { name: 'token_embd.weight', dimensions: [3, 2], type: 0, data: f32s(1, 2, 3, 4, 5, 6) },
      { name: 'blk.0.attn_q.weight', dimensions: [32, 2], type: 2, data: new Uint8Array(36).fill(7) },
      { name: 'output.weight', dimensions: [256, 1], type: 18, data: new Uint8Array(98).fill(3) },
    ],
  }),
}));
