import assert from 'node:assert/strict';
import { elementCount } from '../../../src/base/shape.ts';
import type { FileIdentity } from '../../../src/bytes/source/fileSource.ts';
import type { Tensor } from '../../../src/checkpoint/tensor.ts';
import { wholeMatrix } from '../../../src/model/layout/layout.ts';
import { isStored, type Matrix } from '../../../src/model/matrix.ts';
import { StoredMatrix } from '../../../src/model/storedMatrix.ts';

const FILE: FileIdentity = { path: 'model.safetensors', size: 0, mtimeMs: 0 };

/** A tensor of a directory alone, whose storage is its own unless given; reading it fails. */
export function tensor(name: string, shape: readonly number[], more: Partial<Tensor> = {}): Tensor {
  const bytes = 4 * elementCount(shape);
  const read = () => assert.fail(`${name} must not be read`);
  return { name, shape, dtype: 'F32', bytes, file: FILE, storage: name, read, ...more };
}

/** A whole tensor as a matrix of `rows` x `cols`, outside of any layer. */
export function storedMatrix(from: Tensor, rows: number, cols: number, transposed = false): StoredMatrix {
  const place = { layer: null, module: from.name, role: 'other', expert: null } as const;
  return new StoredMatrix(from, wholeMatrix(rows, cols, transposed), place, null);
}

/** The matrices, all of which are stored. */
export function stored(matrices: readonly Matrix[]): StoredMatrix[] {
  const found = matrices.filter(isStored);
  assert.equal(found.length, matrices.length);
  return found;
}
