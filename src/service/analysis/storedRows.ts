import { ENCODED_BYTES, encodingOf } from '../../base/encoding.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { givesStored } from '../../checkpoint/givesStored.ts';
import type { StoredRows } from '../../devices/backend.ts';
import type { MatrixRef } from '../../model/names/anatomy.ts';

/** The rows of a matrix as their bytes lie in the file, where engines decode these; undefined where the reader must (blocks, strides). */
export function storedRows(
  checkpoint: Checkpoint,
  { tensor, cols, offset }: Pick<MatrixRef, 'tensor' | 'cols' | 'offset'>,
): StoredRows | undefined {
  const encoding = encodingOf(tensor.dtype);
  if (!encoding || !givesStored(checkpoint, tensor)) return undefined;
  const size = ENCODED_BYTES[encoding];
  return {
    encoding,
    async read(row, out, signal) {
      await checkpoint.readStored!(tensor, (offset + row * cols) * size, out, signal);
    },
  };
}
