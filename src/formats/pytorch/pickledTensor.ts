import { MAX_DIMENSIONS } from '../../bytes/limits.ts';
import { asKind, type CallValue, globalName, itemsOf, type Value } from '../../bytes/pickle/values.ts';
import { rowMajor } from '../../bytes/strides.ts';
import { type NumpyArray, numpyArray } from '../numpy/pickledArray.ts';
import type { Affine } from './affine.ts';
import { isCount, type StorageReference, storageReference, torchType } from './storageType.ts';

/** An `Affine` whose tensors are still views that the pickle describes. */
type PickledAffine =
  | Extract<Affine, { kind: 'tensor' }>
  | {
      readonly kind: 'channel';
      readonly scales: PickledTensor;
      readonly zeros: PickledTensor;
      readonly axis: number;
    };

/** A tensor that is a view of a storage. */
export interface PickledTensor {
  readonly kind: 'tensor';
  readonly storage: StorageReference;
  readonly dtype: string;
  /** The first element, counted from the start of the root storage. */
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  /** Present for quantized tensors. */
  readonly affine?: PickledAffine;
}

/** A sparse tensor. Its parts are those of `SparseParts`. */
export interface PickledSparse {
  readonly kind: 'sparse';
  readonly layout: 'coo' | 'csr' | 'csc';
  readonly indices: PickledTensor;
  readonly pointers?: PickledTensor;
  readonly values: PickledTensor;
  readonly shape: readonly number[];
}

/** A tensor in a form that is not read. */
export interface OddTensor {
  readonly kind: 'odd';
  /** e.g. `sparse`. */
  readonly what: string;
}

export type AnyTensor = PickledTensor | PickledSparse | OddTensor | NumpyArray;

/**
 * The tensor that a call would create, recognized only by the name of the function; undefined for any other call. A
 * parameter counts as its tensor.
 */
export function pickledTensor(call: CallValue, depth = 0): AnyTensor | undefined {
  const name = globalName(call.callable) ?? '';
  const args = itemsOf(call.args) ?? [];
  if (/^torch\._utils\._rebuild_tensor(_v[23])?$/.test(name))
    return viewOf(args, name.endsWith('3') ? args[6] : undefined);
  if (/^torch\._utils\._rebuild_parameter(_with_state)?$/.test(name) || name === 'torch.nn.parameter.Parameter')
    return inner(args[0], depth);
  if (name === 'torch._tensor._rebuild_from_type_v2' && args[0] !== undefined && args[2] !== undefined)
    return inner({ kind: 'call', callable: args[0], args: args[2] }, depth);
  if (/^torch\._utils\._rebuild_device_tensor_from_(cpu_tensor|numpy)$/.test(name)) return inner(args[0], depth);
  if (name === 'torch._utils._rebuild_qtensor') return quantized(args, depth);
  if (/^torch\._utils\._rebuild_sparse(_csr)?_tensor$/.test(name)) return sparse(args, depth);
  const odd = /^torch\._utils\._rebuild_(\w*?)_?(tensor|qtensor)\w*$/.exec(name);
  if (odd) return { kind: 'odd', what: odd[1] || 'unusual' };
  // Each file contains only the shard of the process that wrote it.
  const spread = /\.(ShardedTensor|DTensor)$/.exec(name);
  if (spread) return { kind: 'odd', what: `spread (${spread[1]})` };
  return numpyArray(call, name, args);
}

function quantized(args: readonly Value[], depth: number): PickledTensor | OddTensor {
  const [storage, offset, shape, strides, parameters] = args;
  const affine = pickledAffine(parameters, (value) => plainTensor(value, depth));
  if (!affine) return { kind: 'odd', what: 'quantized in an unknown way' };
  const view = viewOf([storage ?? null, offset ?? null, shape ?? null, strides ?? null], undefined);
  return view.kind === 'odd' ? view : { ...view, affine };
}

function sparse(args: readonly Value[], depth: number): PickledSparse | OddTensor {
  const [layout, data] = args;
  const [text] = itemsOf(asKind(layout, 'call')?.args) ?? [];
  const kind = /^torch\.sparse_(\w+)$/.exec(typeof text === 'string' ? text : (globalName(layout) ?? ''))?.[1];
  const odd = { kind: 'odd', what: `sparse (${kind ?? 'of an unknown layout'})` } as const;
  if (kind !== 'coo' && kind !== 'csr' && kind !== 'csc') return odd;
  const parts = itemsOf(data) ?? [];
  const tensors = parts.slice(0, kind === 'coo' ? 2 : 3).map((part) => plainTensor(part, depth));
  const shape = itemsOf(sizesOf(parts[tensors.length]));
  const [first, second, third] = tensors;
  if (!first || !second || !isShape(shape)) return odd;
  return third
    ? { kind: 'sparse', layout: kind, pointers: first, indices: second, values: third, shape }
    : { kind: 'sparse', layout: kind, indices: first, values: second, shape };
}

/** Unwraps torch.Size, which is a call with the tuple of sizes. */
function sizesOf(value: Value | undefined): Value | undefined {
  const call = asKind(value, 'call');
  return call ? itemsOf(call.args)?.[0] : value;
}

function plainTensor(value: Value | undefined, depth: number): PickledTensor | undefined {
  const tensor = inner(value, depth);
  return tensor?.kind === 'tensor' && !tensor.affine ? tensor : undefined;
}

function isShape(sizes: readonly Value[] | undefined): sizes is number[] {
  return sizes !== undefined && sizes.length <= MAX_DIMENSIONS && sizes.every(isCount);
}

/** The tensor inside a wrapper. Real wrappers are nested at most two deep. */
function inner(value: Value | undefined, depth: number) {
  const call = asKind(value, 'call');
  return call && depth < 8 ? pickledTensor(call, depth + 1) : undefined;
}

function viewOf(args: readonly Value[], type: Value | undefined): PickledTensor | OddTensor {
  const persistent = asKind(args[0], 'persistent') ?? asKind(args[0], 'call')?.resolved;
  const storage = persistent && storageReference(persistent);
  const offset = args[1];
  const shape = itemsOf(args[2]);
  const strides = itemsOf(args[3]) ?? (isShape(shape) ? rowMajor(shape) : undefined);
  const dtype = type === undefined ? storage?.dtype : torchType(type);
  if (!storage || !isCount(offset) || !isShape(shape) || !strides?.every(isCount) || strides.length !== shape.length)
    return { kind: 'odd', what: 'malformed' };
  if (dtype === undefined) return { kind: 'odd', what: 'of an unknown type' };
  return { kind: 'tensor', storage, dtype, offset: storage.viewOffset + offset, shape, strides };
}

/**
 * The parameters of torch._utils._rebuild_qtensor; undefined for an unknown scheme. `tensorOf` reads a tensor among
 * them.
 */
function pickledAffine(
  value: Value | undefined,
  tensorOf: (value: Value | undefined) => PickledTensor | undefined,
): PickledAffine | undefined {
  const [scheme, scale, zero, axis] = itemsOf(value) ?? [];
  const name = globalName(scheme);
  if (name === 'torch.per_tensor_affine' && typeof scale === 'number' && typeof zero === 'number')
    return { kind: 'tensor', scale, zero };
  if (name !== 'torch.per_channel_affine' && name !== 'torch.per_channel_affine_float_qparams') return undefined;
  const [scales, zeros] = [tensorOf(scale), tensorOf(zero)];
  return scales && zeros && isCount(axis) ? { kind: 'channel', scales, zeros, axis } : undefined;
}
