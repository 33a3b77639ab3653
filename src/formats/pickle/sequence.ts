import { RankscopeError } from '../../base/errors.ts';
import type { ByteSource } from '../byteSource.ts';
import { MAX_PICKLE_BYTES } from '../limits.ts';
import { type Seen, type Unpickled, unpickle } from './machine.ts';
import { PickleEnd, PickleFault } from './reader.ts';
import { findingsOf, warningOf } from './security.ts';
import type { Value } from './values.ts';

/** Bytes looked at first; a pickle that is longer is read again from a window of eight times the size. */
const FIRST_WINDOW = 1 << 16;
/** A larger window than this is not kept. */
const LARGEST_KEPT = 1 << 20;

/** The pickles that stand one after the other in a source, and the plain numbers between them. */
export class PickleSequence {
  at = 0;
  /** Bytes read last, from `nearAt` on: a hundred thousand small pickles take few reads. */
  private near: Uint8Array = new Uint8Array(0);
  private nearAt = 0;

  constructor(
    private readonly source: ByteSource,
    /** Gets what all pickles of the sequence name. */
    private readonly seen: Seen,
    private readonly signal?: AbortSignal | undefined,
  ) {}

  /** The next pickle. @throws RankscopeError 'malformed', with a warning where it names something dangerous. */
  async next(): Promise<Value> {
    const before = [this.seen.persistents.length, this.seen.inlined.length] as const;
    const left = this.source.size - this.at;
    for (let size = this.cached().length || FIRST_WINDOW; ; size = Math.max(FIRST_WINDOW, size * 8)) {
      const length = Math.min(size, left, MAX_PICKLE_BYTES);
      // Read again from a larger window, it would be seen twice.
      [this.seen.persistents.length, this.seen.inlined.length] = before;
      const result = this.attempt(await this.window(length), length === left);
      if (result) {
        this.at += result.end;
        if (this.near.length > LARGEST_KEPT) this.near = new Uint8Array(0);
        return result.value;
      }
      if (length === MAX_PICKLE_BYTES)
        throw this.failure('too-large', `its pickle is longer than ${MAX_PICKLE_BYTES} bytes`);
    }
  }

  /** A whole number of 8 bytes. */
  async int64(): Promise<number> {
    return Number((await this.number()).getBigInt64(0, true));
  }

  /** A whole number of 4 bytes, and 4 more that say nothing. */
  async paddedInt32(): Promise<number> {
    return (await this.number()).getInt32(0, true);
  }

  private async number(): Promise<DataView> {
    const near = this.cached().length >= 8 ? this.cached() : undefined;
    const bytes = near ?? (await this.window(Math.max(8, Math.min(FIRST_WINDOW, this.source.size - this.at))));
    this.at += 8;
    return new DataView(bytes.buffer, bytes.byteOffset, 8);
  }

  /** What of the bytes read last lies ahead. */
  private cached(): Uint8Array {
    const skipped = this.at - this.nearAt;
    return skipped >= 0 ? this.near.subarray(skipped) : new Uint8Array(0);
  }

  /** The `length` bytes ahead. @throws RankscopeError 'malformed' beyond the end. */
  private async window(length: number): Promise<Uint8Array> {
    if (this.cached().length < length) {
      this.near = await this.source.read(this.at, length, this.signal);
      this.nearAt = this.at;
    }
    return this.cached().subarray(0, length);
  }

  failure(code: 'malformed' | 'too-large', found: string): RankscopeError {
    const warning = warningOf(findingsOf(this.seen.globals.values()));
    return new RankscopeError(code, this.source.name, found, warning || 'It is damaged: copy or download it again');
  }

  /** Undefined where the pickle goes on beyond `bytes`, and they are not all there is. */
  private attempt(bytes: Uint8Array, whole: boolean): Unpickled | undefined {
    try {
      return unpickle(bytes, 0, this.seen);
    } catch (error) {
      if (error instanceof PickleEnd && !whole) return undefined;
      if (error instanceof PickleEnd) throw this.failure('malformed', 'its pickle is cut off');
      if (error instanceof PickleFault) throw this.failure('malformed', `its pickle is broken: ${error.message}`);
      throw error;
    }
  }
}
