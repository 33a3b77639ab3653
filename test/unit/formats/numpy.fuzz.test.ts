import { fuzz } from './fuzz.ts';
import { npyBytes, npyHeader } from './npyBytes.ts';
import { zipBytes } from './zipBytes.ts';

const SIX = new Float32Array([1, 2, 3, 4, 5, 6]);
const FILES = {
  'w.npy': npyBytes(npyHeader('<f4', [2, 3]), SIX),
  'f.npy': npyBytes(npyHeader('>f8', [3, 1], true), SIX),
};

fuzz('numpy', () => ({ 'stored.npz': zipBytes(FILES), 'deflated.npz': zipBytes(FILES, 6), 'one.npy': FILES['w.npy'] }));
