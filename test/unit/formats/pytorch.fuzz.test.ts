import { fuzz } from './fuzz.ts';
import { legacyFile, op, pickle, tensor } from './pickleBytes.ts';
import { tarFile } from './tarBytes.ts';
import { torchZip } from './zipBytes.ts';

const SIX = [1, 2, 3, 4, 5, 6];
const OBJECT = op.dictOf({
  weight: tensor({ length: 6, shape: [2, 3], strides: [3, 1] }),
  view: tensor({ length: 6, shape: [3, 2], strides: [1, 3] }),
  other: op.call('my.code', 'Config', op.int(3)),
});

fuzz('PyTorch', () => ({
  'stored.pt': torchZip(pickle(OBJECT), { 0: SIX }),
  'deflated.pt': torchZip(pickle(OBJECT), { 0: SIX }, 6),
  'tar.pt': tarFile(),
  'legacy.pt': legacyFile(OBJECT, { 0: SIX }),
}));
