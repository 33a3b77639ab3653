import { elementCount } from '../../../src/base/shape.ts';
import type { TensorInfo } from '../../../src/checkpoint/checkpoint.ts';

/** A tensor's directory entry; its storage is its own unless told. */
export function tensor(name: string, shape: readonly number[], more: Partial<TensorInfo> = {}): TensorInfo {
  const elements = elementCount(shape);
  return { name, shape, dtype: 'F32', bytes: 4 * elements, storage: name, file: 0, ...more };
}
