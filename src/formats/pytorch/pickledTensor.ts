import { type NumpyArray, numpyArray } from '../numpy/pickledArray.ts';
import { asKind, type CallValue, globalName, itemsOf, type Value } from '../pickle/values.ts';
import { rowMajor } from '../strided.ts';
import { isCount, type StorageReference, storageReference, torchType } from './storageType.ts';

/** A tensor as a view of a storage. */
export interface PickledTensor {
  readonly kind: 'tensor';
  readonly storage: StorageReference;
  readonly dtype: string;
  /** First element, counted in the storage that is stored. */
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** A tensor that is there, but not as one plain view. */
export interface OddTensor {
  readonly kind: 'odd';
  /** e.g. `sparse`. */
  readonly what: string;
}

/**
 * The tensor that a call would make, recognized by the name of the function alone; undefined for any other call. A parameter is its tensor.
 */
export function pickledTensor(call: CallValue, depth = 0): PickledTensor | OddTensor | NumpyArray | undefined {
  const name = globalName(call.callable) ?? '';
  const args = itemsOf(call.args) ?? [];
  if (/^torch\._utils\._rebuild_tensor(_v[23])?$/.test(name))
    return viewOf(args, name.endsWith('3') ? args[6] : undefined);
  if (/^torch\._utils\._rebuild_parameter(_with_state)?$/.test(name) || name === 'torch.nn.parameter.Parameter')
    return inner(args[0], depth);
  if (name === 'torch._tensor._rebuild_from_type_v2' && args[0] !== undefined && args[2] !== undefined)
    return inner({ kind: 'call', callable: args[0], args: args[2] }, depth);
  if (/^torch\._utils\._rebuild_device_tensor_from_(cpu_tensor|numpy)$/.test(name)) return inner(args[0], depth);
  const odd = /^torch\._utils\._rebuild_(\w*?)_?(tensor|qtensor)\w*$/.exec(name);
  if (odd) return { kind: 'odd', what: odd[2] === 'qtensor' ? 'quantized' : odd[1] || 'unusual' };
  return numpyArray(call, name, args);
}

/** Real wrappers are two deep at most. */
function inner(value: Value | undefined, depth: number) {
  const call = asKind(value, 'call');
  return call && depth < 8 ? pickledTensor(call, depth + 1) : undefined;
}

function viewOf(args: readonly Value[], type: Value | undefined): PickledTensor | OddTensor {
  const persistent = asKind(args[0], 'persistent') ?? asKind(args[0], 'call')?.resolved;
  const storage = persistent && storageReference(persistent);
  const offset = args[1];
  const shape = itemsOf(args[2]);
  const strides = itemsOf(args[3]) ?? (shape?.every(isCount) ? rowMajor(shape) : undefined);
  const dtype = type === undefined ? storage?.dtype : torchType(type);
  if (
    !storage ||
    !isCount(offset) ||
    !shape?.every(isCount) ||
    !strides?.every(isCount) ||
    strides.length !== shape.length
  )
    return { kind: 'odd', what: 'broken' };
  if (dtype === undefined) return { kind: 'odd', what: 'of an unknown type' };
  return { kind: 'tensor', storage, dtype, offset: storage.viewOffset + offset, shape, strides };
}
