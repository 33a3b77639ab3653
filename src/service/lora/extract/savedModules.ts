import type { Tensor } from '../../../checkpoint/tensor.ts';
import { carriedTensor } from '../../../write/carried.ts';
import type { TensorToWrite } from '../../../write/safetensorsWriter.ts';
import type { Side } from '../../diff/sides.ts';
import type { Changed, Left } from './survey.ts';

/** How the tensors that no LoRA holds are written. */
export interface SavedModules {
  /** For `modules_to_save`. */
  readonly modules: readonly string[];
  /** Whether biases of adapted layers are written, with `bias: all`. */
  readonly biases: boolean;
  readonly tensors: readonly TensorToWrite[];
  /** By the name of a tensor: the module that holds it, or why none does. */
  readonly places: ReadonlyMap<string, { readonly module: string } | { readonly reason: string }>;
}

const PARAMETER = /^(.+)\.(weight|bias|running_mean|running_var|num_batches_tracked)$/;
const PREFIX = 'base_model.model.';

/**
 * Whole modules of the tuned model for what differs there, and biases of adapted layers by themselves: a module
 * cannot be adapted and saved. PEFT reads every parameter of a module that it saves, the equal ones as well.
 */
export function savedModules(
  left: readonly Left[],
  changed: readonly Changed[],
  tuned: Side,
  tiedHead: (module: string) => string | undefined,
): SavedModules {
  const adapted = new Set(changed.map(({ target }) => target));
  const places = new Map<string, { readonly module: string } | { readonly reason: string }>();
  const modules = new Set<string>();
  const tensors: TensorToWrite[] = [];
  let biases = false;
  for (const { pair, reason } of left) {
    const { name, tensor } = pair.base;
    const [, module, parameter] = PARAMETER.exec(name) ?? [];
    const [twin, ...others] = pair.tuned;
    if (module === undefined || tensor.name !== name || others.length > 0) places.set(name, { reason });
    else if (!adapted.has(module)) {
      modules.add(module);
      places.set(name, { module });
    } else if (parameter === 'bias') {
      biases = true;
      places.set(name, { module });
      tensors.push({ ...carriedTensor(twin!.tensor), name: `${PREFIX}${module}.base_layer.bias` });
    } else places.set(name, { reason });
  }
  const own = new Map(left.map(({ pair }) => [pair.base.name, pair.tuned[0]!.tensor]));
  const byName = new Map(tuned.items.map((item) => [item.tensor.name, item.tensor]));
  const written = (module: string, of: string) => {
    for (const [parameter, tensor] of parametersOf(of, own, byName))
      tensors.push({ ...carriedTensor(tensor), name: `${PREFIX}${module}.${parameter}` });
  };
  const heads = [...modules].flatMap((module) => {
    written(module, module);
    const head = tiedHead(module);
    if (head === undefined || modules.has(head)) return [];
    // PEFT unties the head from the copy of the table.
    written(head, module);
    return [head];
  });
  return { modules: [...modules, ...heads], biases, tensors, places };
}

function parametersOf(
  module: string,
  own: ReadonlyMap<string, Tensor>,
  byName: ReadonlyMap<string, Tensor>,
): [parameter: string, tensor: Tensor][] {
  return ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'].flatMap((parameter) => {
    const name = `${module}.${parameter}`;
    const tensor = own.get(name) ?? byName.get(name);
    return tensor ? [[parameter, tensor] as [string, Tensor]] : [];
  });
}
