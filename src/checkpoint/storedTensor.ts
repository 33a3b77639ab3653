import { readStrided } from '../bytes/readStrided.ts';
import type { ByteSource } from '../bytes/source/byteSource.ts';
import type { FileIdentity } from '../bytes/source/fileSource.ts';
import { readContiguous, readStoredBytes, type StoredNumbers } from '../bytes/storedNumbers.ts';
import type { Tensor, TensorDescription } from './tensor.ts';

/**
 * A tensor whose stored numbers are its values. A class, because a checkpoint may have hundreds of thousands: their methods are shared
 * instead of closures of each.
 */
export class StoredTensor implements Tensor, StoredNumbers {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly bytes: number;
  readonly file: FileIdentity;
  readonly storage: string;
  readonly transposed: boolean | undefined;
  readonly source: ByteSource;
  readonly offset: number;
  readonly bigEndian: boolean | undefined;
  readonly strides: readonly number[] | undefined;
  /** Absent with strides: the stored order is not the tensor's. */
  declare readonly readStored?: NonNullable<Tensor['readStored']>;

  constructor(stored: TensorDescription & StoredNumbers) {
    this.name = stored.name;
    this.shape = stored.shape;
    this.dtype = stored.dtype;
    this.bytes = stored.bytes;
    this.file = stored.file;
    this.storage = stored.storage;
    this.transposed = stored.transposed;
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
