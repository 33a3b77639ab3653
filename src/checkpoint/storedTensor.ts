import { readStrided } from '../bytes/readStrided.ts';
import type { ByteSource } from '../bytes/source/byteSource.ts';
import { readContiguous, readStoredBytes, type StoredNumbers } from '../bytes/storedNumbers.ts';
import { DescribedTensor, type Tensor, type TensorDescription } from './tensor.ts';

/** A tensor whose stored numbers are its values. */
export class StoredTensor extends DescribedTensor implements Tensor, StoredNumbers {
  readonly source: ByteSource;
  readonly offset: number;
  readonly bigEndian: boolean | undefined;
  readonly strides: readonly number[] | undefined;
  /** Absent with strides: the stored order is not the tensor's. */
  declare readonly readStored?: NonNullable<Tensor['readStored']>;

  constructor(stored: TensorDescription & StoredNumbers) {
    super(stored);
    this.source = stored.source;
    this.offset = stored.offset;
    this.bigEndian = stored.bigEndian;
    this.strides = stored.strides;
    if (!stored.strides) this.readStored = readOwnBytes;
  }

  read(start: number, out: Float32Array, signal?: AbortSignal): Promise<void> {
    return (this.strides ? readStrided : readContiguous)(this, start, out, signal);
  }
}

function readOwnBytes(this: StoredTensor, offset: number, out: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
  return readStoredBytes(this, offset, out, signal);
}
