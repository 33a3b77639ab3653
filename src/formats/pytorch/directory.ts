import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import type { Allowance } from '../../bytes/allowance.ts';
import { bitsOf } from '../../bytes/decode.ts';
import type { Value } from '../../bytes/pickle/values.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';
import type { FileIdentity } from '../../bytes/source/fileSource.ts';
import { memorySource } from '../../bytes/source/memorySource.ts';
import { columnMajor, isInjective, isRowMajor } from '../../bytes/strides.ts';
import { StoredTensor } from '../../checkpoint/storedTensor.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import type { NumpyArray } from '../numpy/pickledArray.ts';
import { affineTensor } from './affine.ts';
import { namesOf } from './names.ts';
import type { PickledSparse, PickledTensor } from './pickledTensor.ts';
import { sparseTensor } from './sparse.ts';
import { findTensors } from './stateDict.ts';

/** Where the bytes of a storage are, as a range of `source`. */
export interface StoragePlace {
  readonly source: ByteSource;
  readonly offset: number;
  readonly bytes: number;
  readonly bigEndian: boolean;
  /** Distinguishes the sets of storages in a file that has several, since their keys may be equal. */
  readonly set?: string;
}

export interface PickledDirectory {
  readonly tensors: readonly Tensor[];
  readonly remarks: readonly string[];
}

/**
 * The tensors that the pickled object `root` of `file` describes, with `prefix` before their names. `locate` finds a
 * storage by its key.
 * @throws RankscopeError 'malformed' if a tensor extends beyond its storage, or its storage is missing.
 */
export function pickledDirectory(
  file: FileIdentity,
  root: Value,
  locate: (key: string) => StoragePlace | undefined,
  allowance: Allowance,
  prefix = '',
): PickledDirectory {
  const found = findTensors(file.path, root, allowance);
  const named = namesOf(found.tensors);
  const overlapping: string[] = [];
  const broken: string[] = [];
  const tensors: Tensor[] = [];
  for (const [i, { name: unprefixed, tensor }] of named.tensors.entries()) {
    const name = prefix + unprefixed;
    const stored =
      tensor.kind === 'array'
        ? arrayTensor(file, name, tensor, i)
        : tensor.kind === 'sparse'
          ? sparseView(file, name, tensor, locate)
          : denseTensor(file, name, tensor, locate);
    if (stored) tensors.push(stored);
    else if (tensor.kind === 'sparse') broken.push(name);
    else overlapping.push(name);
  }
  const omissions = overlapping.length
    ? [`${overlapping.length} tensors whose elements overlap are left out (${overlapping[0]}).`]
    : [];
  if (broken.length) omissions.push(`${broken.length} sparse tensors of an unusual form are left out (${broken[0]}).`);
  return { tensors, remarks: [...named.remarks, ...found.remarks, ...omissions] };
}

type Locate = (key: string) => StoragePlace | undefined;

/** A view of a storage, dequantized if necessary; undefined for a view that repeats elements. */
function denseTensor(file: FileIdentity, name: string, tensor: PickledTensor, locate: Locate): Tensor | undefined {
  const stored = viewTensor(file, name, tensor, locate);
  const { affine } = tensor;
  if (!stored || !affine) return stored;
  if (affine.kind === 'tensor') return affineTensor(stored, affine);
  const scales = viewTensor(file, name, affine.scales, locate);
  const zeros = viewTensor(file, name, affine.zeros, locate);
  return scales && zeros && affineTensor(stored, { ...affine, scales, zeros });
}

function sparseView(
  file: FileIdentity,
  name: string,
  { layout, indices, pointers, values, shape }: PickledSparse,
  locate: Locate,
): Tensor | undefined {
  const view = (tensor: PickledTensor) => viewTensor(file, name, tensor, locate);
  const [pointersView, indicesView, valuesView] = [pointers && view(pointers), view(indices), view(values)];
  if (!indicesView || !valuesView || (pointers && !pointersView)) return undefined;
  const parts = { layout, indices: indicesView, values: valuesView, shape };
  return sparseTensor(name, pointersView ? { ...parts, pointers: pointersView } : parts);
}

/** Undefined for a view that repeats elements, which could claim any size over a few bytes. */
function viewTensor(
  file: FileIdentity,
  name: string,
  { storage, dtype, offset, shape, strides }: PickledTensor,
  locate: Locate,
): StoredTensor | undefined {
  const malformed = (found: string) =>
    new RankscopeError(
      'malformed',
      file.path,
      `tensor ${JSON.stringify(name)} ${found}`,
      'Copy or download the file again',
    );
  const place = locate(storage.key);
  if (!place) throw malformed(`refers to storage ${JSON.stringify(storage.key)}, which is missing`);
  const count = elementCount(shape);
  const reach = count === 0 ? 0 : shape.reduce((sum, size, i) => sum + (size - 1) * strides[i]!, offset + 1);
  const size = bitsOf(dtype)! / 8;
  if (!(Number.isSafeInteger(count) && Number.isSafeInteger(reach * size)) || reach * size > place.bytes)
    throw malformed(`of shape [${shape.join(', ')}] extends beyond its storage of ${place.bytes} bytes`);
  if (count > 0 && !isInjective(shape, strides)) return undefined;
  const plain = isRowMajor(shape, strides);
  return new StoredTensor({
    name,
    shape,
    dtype,
    bytes: count * size,
    storage: `${place.set ?? 'storage'} ${storage.key} at ${offset * size} ${dtype} ${shape.join('x')}${plain ? '' : ` by ${strides.join(',')}`}`,
    file,
    source: place.source,
    offset: place.offset + offset * size,
    bigEndian: place.bigEndian,
    ...(plain ? {} : { strides }),
  });
}

function arrayTensor(file: FileIdentity, name: string, array: NumpyArray, index: number): StoredTensor {
  const { type, shape, fortran, bytes } = array;
  const strides = columnMajor(shape);
  return new StoredTensor({
    name,
    shape,
    dtype: type.dtype,
    bytes: bytes.length,
    storage: `array ${index}`,
    file,
    source: memorySource(file.path, bytes),
    offset: 0,
    bigEndian: type.bigEndian,
    ...(fortran && !isRowMajor(shape, strides) ? { strides } : {}),
  });
}
