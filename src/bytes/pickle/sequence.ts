import { RankscopeError } from '../../base/errors.ts';
import { MAX_PICKLE_BYTES } from '../limits.ts';
import type { ByteSource } from '../source/byteSource.ts';
import { Machine } from './machine.ts';
import { PickleEnd, PickleFault, PickleReader } from './reader.ts';
import { warningsOf } from './security.ts';
import type { Seen } from './state.ts';
import type { Value } from './values.ts';

/** Bytes read at first, and the least that is read whenever a pickle continues beyond them. */
const FIRST_WINDOW = 1 << 16;
const WINDOW = 1 << 20;

/** Consecutive pickles in a source, and the plain numbers between them. */
export class PickleSequence {
  at = 0;
  /** The most recently read bytes, from `nearAt` on, so that a hundred thousand small pickles take few reads. */
  private near: Uint8Array = new Uint8Array(0);
  private nearAt = 0;

  constructor(
    private readonly source: ByteSource,
    /** Collects what all pickles of the sequence refer to. */
    private readonly seen: Seen,
    private readonly signal?: AbortSignal | undefined,
  ) {}

  /**
   * The next pickle.
   * @throws RankscopeError 'malformed' or 'too-large', with a warning if the pickle names something dangerous
   */
  async next(): Promise<Value> {
    const machine = new Machine(this.seen);
    const start = this.at;
    let wanted = this.cached().length || FIRST_WINDOW;
    for (;;) {
      const left = this.source.size - this.at;
      const bytes = await this.window(Math.min(wanted, left));
      const reader = new PickleReader(bytes);
      try {
        const value = machine.run(reader);
        this.at += reader.at;
        if (this.near.length > WINDOW) this.near = new Uint8Array(0);
        return value;
      } catch (error) {
        if (!(error instanceof PickleEnd)) throw this.explained(error);
        this.at += reader.at;
        // Counted from the opcode that is cut off. The end of a line is searched in twice as many bytes.
        wanted = Math.max(error.enough === undefined ? 2 * bytes.length : error.enough - reader.at, WINDOW);
        if (bytes.length === left || (error.enough ?? 0) > left)
          throw this.failure('malformed', 'its pickle is cut off');
        if (this.at + wanted - start > MAX_PICKLE_BYTES + 2 * WINDOW)
          throw this.failure('too-large', `its pickle is longer than ${MAX_PICKLE_BYTES} bytes`);
      }
    }
  }

  /** An integer of 8 bytes. */
  async int64(): Promise<number> {
    return Number((await this.number()).getBigInt64(0, true));
  }

  /** An integer of 4 bytes, followed by 4 bytes of padding. */
  async paddedInt32(): Promise<number> {
    return (await this.number()).getInt32(0, true);
  }

  private async number(): Promise<DataView> {
    const near = this.cached().length >= 8 ? this.cached() : undefined;
    const bytes = near ?? (await this.window(Math.max(8, Math.min(FIRST_WINDOW, this.source.size - this.at))));
    this.at += 8;
    return new DataView(bytes.buffer, bytes.byteOffset, 8);
  }

  /** The part of the most recently read bytes that lies ahead. */
  private cached(): Uint8Array {
    const skipped = this.at - this.nearAt;
    return skipped >= 0 ? this.near.subarray(skipped) : new Uint8Array(0);
  }

  /** The next `length` bytes. @throws RankscopeError 'malformed' beyond the end */
  private async window(length: number): Promise<Uint8Array> {
    const have = this.cached();
    if (have.length < length) {
      // The bytes ahead are kept, because reading them again would decompress a compressed source from its start.
      const near = new Uint8Array(length);
      near.set(have);
      await this.source.readInto(this.at + have.length, near.subarray(have.length), this.signal);
      this.near = near;
      this.nearAt = this.at;
    }
    return this.cached().subarray(0, length);
  }

  failure(
    code: 'malformed' | 'too-large',
    found: string,
    remedy = 'It is damaged: copy or download it again',
  ): RankscopeError {
    return new RankscopeError(code, this.source.name, found, warningsOf(this.seen).join(' ') || remedy);
  }

  private explained(error: unknown): unknown {
    if (error instanceof PickleFault) return this.failure('malformed', `its pickle is broken: ${error.message}`);
    return error instanceof RankscopeError && error.code === 'too-large'
      ? this.failure('too-large', error.found, error.remedy)
      : error;
  }
}
