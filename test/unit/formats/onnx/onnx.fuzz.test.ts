import { fuzz } from '../fuzz.ts';
import { attribute, f32s, message, model, node, number, tensor } from './onnxBytes.ts';

const BLOCK = attribute('block_size', number(3, 32));

fuzz('onnx', () => ({
  'model.onnx': model(
    message(5, tensor('w', [2, 3], 1, message(9, f32s(1, 2, 3, 4, 5, 6)))),
    message(5, tensor('q', [1, 1, 16], 2, message(9, new Uint8Array(16).fill(0x79)))),
    message(5, tensor('s', [1, 1], 1, message(9, f32s(2)))),
    node('MatMulNBits', ['x', 'q', 's'], 'z', attribute('K', number(3, 32)), attribute('N', number(3, 1)), BLOCK),
    node('DequantizeLinear', ['w', 's'], 'd', attribute('axis', number(3, 1)), BLOCK),
    message(5, tensor('list', [2], 10, message(5, Buffer.from([1, 2])))),
    message(5, tensor('far', [2], 1, number(14, 1), message(13, message(1, 'location'), message(2, 'weights.bin')))),
    node(
      'MatMul',
      ['x', 'w'],
      'y',
      attribute(
        'g',
        message(6, node('Constant', [], 'c', attribute('value', message(5, tensor('', [1], 1, message(9, f32s(1))))))),
      ),
    ),
  ),
  'weights.bin': f32s(1, 2),
}));
