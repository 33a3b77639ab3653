import { fuzz } from '../fuzz.ts';
import { attribute, f32s, message, model, node, number, tensor } from './onnxBytes.ts';

fuzz('onnx', () => ({
  'model.onnx': model(
    message(5, tensor('w', [2, 3], 1, message(9, f32s(1, 2, 3, 4, 5, 6)))),
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
