import { factorShapes } from '../../adapters/writing/peft.ts';
import { elementCount } from '../../base/shape.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import { carriedTensor } from '../../write/carried.ts';
import type { TensorToWrite } from '../../write/safetensorsWriter.ts';
import { type EncodedLayer, encoded } from './writeAdapter.ts';

/**
 * The tensors of layers under the names of kohya.
 * @param magnitudes of DoRA, by the target of the layer.
 */
export function kohyaTensors(
  layers: readonly (readonly [name: string, EncodedLayer])[],
  magnitudes: ReadonlyMap<string, Tensor>,
): TensorToWrite[] {
  return layers.flatMap(([name, { target, form, factors, dtype }]) => {
    const [down, up] = factorShapes(form, factors);
    const magnitude = magnitudes.get(target);
    return [
      encoded({ name: `${name}.lora_down.weight`, shape: down, values: factors.down }, dtype),
      encoded({ name: `${name}.lora_up.weight`, shape: up, values: factors.up }, dtype),
      // Half a number may round an alpha, and thereby the whole update.
      encoded({ name: `${name}.alpha`, shape: [], values: [factors.scale * factors.rank] }, 'F32'),
      ...(magnitude
        ? [{ ...carriedTensor(magnitude), name: `${name}.dora_scale`, shape: [elementCount(magnitude.shape), 1] }]
        : []),
    ];
  });
}
