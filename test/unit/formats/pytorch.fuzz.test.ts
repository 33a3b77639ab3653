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

const Q = op.call(
  'torch._utils',
  '_rebuild_qtensor',
  Buffer.concat([
    op.tupleOf(op.text('storage'), op.global('torch', 'QInt8Storage'), op.text('0'), op.text('cpu'), op.int(24)),
    op.persistent,
  ]),
  op.int(0),
  op.numbers([3, 4]),
  op.numbers([4, 1]),
  op.tupleOf(
    op.global('torch', 'per_channel_affine'),
    tensor({ length: 6, shape: [3], strides: [1] }),
    tensor({ length: 6, shape: [3], strides: [1], offset: 3 }),
    op.int(0),
  ),
);
const sparse = (layout: string, ...parts: Uint8Array[]) =>
  op.call(
    'torch._utils',
    '_rebuild_sparse_tensor',
    op.call('torch.serialization', '_get_layout', op.text(`torch.sparse_${layout}`)),
    op.tupleOf(...parts, op.numbers([2, 3])),
  );
const indices = (...shape: number[]) =>
  tensor({ key: '1', type: 'IntStorage', length: 6, shape, strides: shape.length === 2 ? [shape[1]!, 1] : [1] });
const three = tensor({ length: 6, shape: [3], strides: [1] });
const ODD = op.dictOf({
  quantized: Q,
  coo: sparse('coo', indices(2, 3), three),
  csr: sparse('csr', indices(3), indices(3), three),
});

fuzz('PyTorch', () => ({
  'odd.pt': torchZip(pickle(ODD), { 0: SIX, 1: [0, 0, 0, 0, 0, 0] }),
  'stored.pt': torchZip(pickle(OBJECT), { 0: SIX }),
  'deflated.pt': torchZip(pickle(OBJECT), { 0: SIX }, 6),
  'tar.pt': tarFile(),
  'legacy.pt': legacyFile(OBJECT, { 0: SIX }),
}));
