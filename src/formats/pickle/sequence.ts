import { RankscopeError } from '../../base/errors.ts';
import type { ByteSource } from '../byteSource.ts';
import { MAX_PICKLE_BYTES } from '../limits.ts';
import { type Seen, type Unpickled, unpickle } from './machine.ts';
import { PickleEnd, PickleFault } from './reader.ts';
import { findingsOf, warningOf } from './security.ts';
import type { Value } from './values.ts';

/** Bytes looked at first; pickles that are longer are read again from a window of the next size. */
const FIRST_WINDOW = 1 << 20;

/** Bytes read at once for a number among storages. */
const NEAR = 16_384;

/** The pickles that stand one after the other in a source, and the plain numbers between them. */
export class PickleSequence {
  at = 0;
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
    const left = this.source.size - this.at;
    const before = [this.seen.persistents.length, this.seen.inlined.length] as const;
    for (let window = FIRST_WINDOW; ; window *= 8) {
      const size = Math.min(window, left, MAX_PICKLE_BYTES);
      // Read again from a larger window, it would be seen twice.
      [this.seen.persistents.length, this.seen.inlined.length] = before;
      const result = this.attempt(await this.source.read(this.at, size, this.signal), size === left);
      if (result) {
        this.at += result.end;
        return result.value;
      }
      if (size === MAX_PICKLE_BYTES)
        throw this.failure('too-large', `its pickle is longer than ${MAX_PICKLE_BYTES} bytes`);
    }
  }

  /** A whole number of 8 bytes. */
  async int64(): Promise<number> {
    // A thousand small storages may follow one another: one read serves them all.
    if (!(this.at >= this.nearAt && this.at + 8 <= this.nearAt + this.near.length)) {
      const length = Math.max(8, Math.min(NEAR, this.source.size - this.at));
      this.near = await this.source.read(this.at, length, this.signal);
      this.nearAt = this.at;
    }
    const view = new DataView(this.near.buffer, this.near.byteOffset, this.near.byteLength);
    const value = view.getBigInt64(this.at - this.nearAt, true);
    this.at += 8;
    return Number(value);
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
