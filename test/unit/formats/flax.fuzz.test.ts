import { chunked, flaxBytes, SAMPLE } from './flaxBytes.ts';
import { fuzz } from './fuzz.ts';

fuzz('Flax', () => ({
  'a.msgpack': flaxBytes(SAMPLE),
  'pieces.msgpack': flaxBytes({ w: chunked([6], 'float32', new Float32Array(4), new Float32Array(2)) }),
}));
