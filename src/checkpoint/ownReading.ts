import type { Checkpoint, TensorInfo } from './checkpoint.ts';
import type { StoredTensor } from './storedCheckpoint.ts';

/** A tensor that may be more than a plain range of numbers. */
export interface ReadableTensor extends StoredTensor {
  /** As `Checkpoint.read`, where the stored numbers are not the values. */
  readValues?(start: number, out: Float32Array, signal?: AbortSignal): Promise<void>;
  /** As `Checkpoint.quantizationDeviation`. */
  deviation?(start: number, length: number, signal?: AbortSignal): Promise<number | undefined>;
}

/** Adds the tensors that have their own way of reading to a checkpoint of plain ones. */
export function withOwnReading(plain: Checkpoint): Checkpoint {
  const own = (tensor: TensorInfo) => tensor as ReadableTensor;
  return {
    ...plain,
    read: (tensor, start, out, signal) =>
      own(tensor).readValues?.(start, out, signal) ?? plain.read(tensor, start, out, signal),
    readStored: (tensor, offset, length, signal) =>
      own(tensor).readValues ? undefined : plain.readStored?.(tensor, offset, length, signal),
    quantizationDeviation: (tensor, start, length, signal) => own(tensor).deviation?.(start, length, signal),
  };
}
