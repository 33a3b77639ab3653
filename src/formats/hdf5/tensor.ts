import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { decoderOf, storedBytes, swapByteOrder } from '../../bytes/decode.ts';
import { MAX_CUDNN_KERNEL } from '../../bytes/limits.ts';
import type { FileIdentity } from '../../bytes/source/fileSource.ts';
import { memorySource } from '../../bytes/source/memorySource.ts';
import { StoredTensor } from '../../checkpoint/storedTensor.ts';
import { descriptionOf, type Tensor } from '../../checkpoint/tensor.ts';
import type { chunkReader } from './chunks/chunkReader.ts';
import { type CudnnKernel, unscramble } from './cudnn.ts';
import type { Hdf5File } from './file/hdf5File.ts';
import type { Dataset } from './objects/dataset.ts';

/** A dataset as a tensor. @throws RankscopeError 'malformed' if the file does not contain all of its values */
export function tensorOf(
  file: Hdf5File,
  identity: FileIdentity,
  dataset: Dataset,
  readChunks: ReturnType<typeof chunkReader>,
): Tensor {
  const { source } = file;
  const { path: name, shape, type, layout } = dataset;
  const count = elementCount(shape);
  const bytes = storedBytes(type.dtype, count) ?? count * type.bytes;
  const quoted = JSON.stringify(name);
  if (!Number.isSafeInteger(count) || !Number.isSafeInteger(bytes))
    throw file.malformed(`dataset ${quoted} claims the shape ${shape.join(' x ')}`);
  const base = {
    name,
    shape,
    dtype: type.dtype,
    bytes,
    file: identity,
  };
  const bigEndian = type.bigEndian && type.bytes > 1;
  if (layout.kind === 'compact') {
    if (layout.data.length < bytes)
      throw file.malformed(`dataset ${quoted} has ${layout.data.length} bytes of ${bytes}`);
    return new StoredTensor({
      ...base,
      storage: `compact:${name}`,
      source: memorySource(source.name, layout.data),
      offset: 0,
      bigEndian,
    });
  }
  if (layout.kind === 'chunked')
    return {
      ...base,
      storage: `chunks:${layout.index.address}:${name}`,
      read: async (start, out, signal) => {
        fill(start, out);
        await readChunks(dataset, layout, start, out, signal);
      },
    };
  if (layout.address === undefined)
    return {
      ...base,
      storage: `unwritten:${name}`,
      read: async (start, out) => fill(start, out),
    };
  const offset = file.base + layout.address;
  if (offset + bytes > source.size)
    throw file.malformed(`dataset ${quoted} should end at byte ${offset + bytes}, but the file ends at ${source.size}`);
  const storage = bytes > 0 ? `0:${offset}:${offset + bytes}` : `empty:${name}`;
  return new StoredTensor({ ...base, storage, source, offset, bigEndian });

  /** Elements that were never written have the dataset's fill value, which is usually zero. */
  function fill(start: number, out: Float32Array): void {
    if (!(start >= 0 && start + out.length <= count))
      throw new RankscopeError('wrong-use', name, `elements ${start} to ${start + out.length} were asked for`);
    const decode = decoderOf(type.dtype);
    const value = new Float32Array(1);
    if (dataset.fill) {
      const own = dataset.fill.slice();
      if (type.bigEndian) swapByteOrder(own, type.bytes);
      decode(own, value);
    }
    out.fill(value[0]!);
  }
}

/** The same kernel with its values in the order of the layer without cuDNN. */
export function inPlainOrder(stored: Tensor, kernel: CudnnKernel): Tensor {
  return {
    ...descriptionOf(stored),
    read: async (start, out, signal) => {
      const [rows = 0, cols = 0] = stored.shape;
      if (4 * rows * cols > MAX_CUDNN_KERNEL)
        throw new RankscopeError(
          'too-large',
          stored.name,
          `a CuDNN kernel of ${rows} x ${cols} must be converted as a whole; at most ${MAX_CUDNN_KERNEL} bytes can be`,
        );
      const whole = new Float32Array(rows * cols);
      await stored.read(0, whole, signal);
      out.set(unscramble(whole, rows, cols, kernel).subarray(start, start + out.length));
    },
  };
}
