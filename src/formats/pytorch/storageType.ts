import { asKind, globalName, itemsOf, type PersistentValue, type Value } from '../../bytes/pickle/values.ts';

/** A pickle's reference to a storage: ('storage', type, key, location, length[, view]). */
export interface StorageReference {
  readonly key: string;
  /** The safetensors name of the type; undefined for types below one byte (4-bit quantized). */
  readonly dtype: string | undefined;
  /** In elements. */
  readonly length: number;
  /** Where a storage view of the legacy format starts in its root storage, in elements. */
  readonly viewOffset: number;
}

/** The storage that a persistent value refers to; undefined if it is something else or malformed. */
export function storageReference({ id }: PersistentValue): StorageReference | undefined {
  const [tag, type, key, , length, view] = itemsOf(id) ?? [];
  if (tag !== 'storage' || (typeof key !== 'string' && typeof key !== 'number') || !isCount(length)) return undefined;
  const [, viewOffset] = itemsOf(view) ?? [];
  return { key: String(key), dtype: storageType(type), length, viewOffset: isCount(viewOffset) ? viewOffset : 0 };
}

export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** The dtype of a storage class such as `torch.FloatStorage` or `torch.cuda.FloatStorage`. */
export function storageType(type: Value | undefined): string | undefined {
  const name = /^torch\.(?:cuda\.|storage\.)?(\w+)Storage$/.exec(globalName(type) ?? '')?.[1];
  return name === undefined ? undefined : STORAGE_TYPES.get(name);
}

/** The dtype of a type object such as `torch.float32`. */
export function torchType(type: Value | undefined): string | undefined {
  const { module, name } = asKind(type, 'global') ?? {};
  return module === 'torch' && name !== undefined ? TORCH_TYPES.get(name) : undefined;
}

const STORAGE_TYPES = new Map([
  ['Double', 'F64'],
  ['Float', 'F32'],
  ['Half', 'F16'],
  ['BFloat16', 'BF16'],
  ['Long', 'I64'],
  ['Int', 'I32'],
  ['Short', 'I16'],
  ['Char', 'I8'],
  ['Byte', 'U8'],
  ['Bool', 'BOOL'],
  ['ComplexFloat', 'C64'],
  ['ComplexDouble', 'C128'],
  ['Untyped', 'U8'],
  ['QInt8', 'I8'],
  ['QUInt8', 'U8'],
  ['QInt32', 'I32'],
]);

const TORCH_TYPES = new Map([
  ['float64', 'F64'],
  ['float32', 'F32'],
  ['float16', 'F16'],
  ['bfloat16', 'BF16'],
  ['float8_e4m3fn', 'F8_E4M3'],
  ['float8_e5m2', 'F8_E5M2'],
  ['float8_e4m3fnuz', 'F8_E4M3FNUZ'],
  ['float8_e5m2fnuz', 'F8_E5M2FNUZ'],
  ['float8_e8m0fnu', 'F8_E8M0'],
  ['int64', 'I64'],
  ['int32', 'I32'],
  ['int16', 'I16'],
  ['int8', 'I8'],
  ['uint64', 'U64'],
  ['uint32', 'U32'],
  ['uint16', 'U16'],
  ['uint8', 'U8'],
  ['bool', 'BOOL'],
  ['complex64', 'C64'],
  ['complex128', 'C128'],
]);
