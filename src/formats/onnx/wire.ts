import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import type { Allowance } from '../../bytes/allowance.ts';
import { MAX_MESSAGE_FIELDS } from '../../bytes/limits.ts';
import type { ByteSource } from '../../bytes/source/byteSource.ts';

/** One field of a protobuf message (https://protobuf.dev/programming-guides/encoding). */
export interface Field {
  readonly number: number;
  /** 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. */
  readonly wire: number;
  /** Where the payload is in the file; empty for a varint. */
  readonly start: number;
  readonly end: number;
  /** The value of a varint; 0 for other wire types. */
  readonly value: bigint;
}

/** Bytes of the file held at a time. */
const WINDOW = 1 << 18;

/**
 * Reads protobuf fields in ranges of a file. The payloads of tensors are skipped, never read. A window of the file is
 * held in memory, and methods await only when it has to move.
 */
export class Wire {
  private window: Uint8Array = new Uint8Array(0);
  private from = 0;
  private visited = 0;
  /** Where the last varint ends. */
  private next = 0;

  constructor(
    private readonly source: ByteSource,
    private readonly signal: AbortSignal | undefined,
    /** Visitors spend from it for what they keep. */
    readonly allowance: Allowance,
  ) {}

  /**
   * Visits the fields of the message in [start, end). @throws RankscopeError 'malformed' if a field does not fit its
   * message.
   */
  async fields(start: number, end: number, visit: (field: Field) => Promise<void> | void): Promise<void> {
    let at = start;
    const fail = (found: string) => this.malformed(`${found} at byte ${at}`);
    while (at < end) {
      if (!this.holds(at, Math.min(20, end - at))) await this.move(at, end);
      if (++this.visited > MAX_MESSAGE_FIELDS) throw fail(`it has more than ${MAX_MESSAGE_FIELDS} fields`);
      const tag = this.varint(at, end, fail);
      const number = tag >> 3n;
      const wire = Number(tag & 7n);
      if (number < 1n || number > 0x1fffffffn) throw fail(`a field has the number ${number}`);
      let start = this.next;
      let length = 0;
      let value = 0n;
      if (wire === 0) {
        value = this.varint(start, end, fail);
        start = this.next;
      } else if (wire === 1 || wire === 5) {
        length = wire === 1 ? 8 : 4;
      } else if (wire === 2) {
        const claimed = this.varint(start, end, fail);
        start = this.next;
        if (claimed > BigInt(end - start)) throw fail(`a field claims ${claimed} bytes, but ${end - start} are left`);
        length = Number(claimed);
      } else {
        throw fail(`a field has the unknown wire type ${wire}`);
      }
      const field = { number: Number(number), wire, start, end: start + length, value };
      if (field.end > end) throw fail('a field ends beyond its message');
      const visited = visit(field);
      if (visited) await visited;
      at = field.end;
    }
  }

  /** Reads the payload of a field, of at most `limit` bytes. */
  async bytes({ start, end }: Field, limit: number): Promise<Uint8Array> {
    if (end - start > limit)
      throw this.malformed(`the field at byte ${start} has ${end - start} bytes; at most ${limit} are read`);
    if (!this.holds(start, end - start)) return await this.source.read(start, end - start, this.signal);
    return this.window.slice(start - this.from, end - this.from);
  }

  async text(field: Field, limit: number): Promise<string> {
    return new TextDecoder().decode(await this.bytes(field, limit));
  }

  malformed(found: string): RankscopeError {
    return new RankscopeError(
      'malformed',
      this.source.name,
      found,
      'It is damaged or cut off: copy or download it again',
    );
  }

  private holds(at: number, length: number): boolean {
    return at >= this.from && at + length <= this.from + this.window.length;
  }

  private async move(at: number, end: number): Promise<void> {
    throwIfCancelled(this.signal, this.source.name);
    // Many small messages follow each other, so the window extends beyond the end of this one.
    const length = Math.min(this.source.size - at, Math.max(WINDOW, Math.min(end - at, 20)));
    this.window = await this.source.read(at, length, this.signal);
    this.from = at;
  }

  /** Decodes the varint at `at`, and sets `next` to its end. */
  private varint(at: number, end: number, fail: (found: string) => RankscopeError): bigint {
    const first = this.window[at - this.from]!;
    if (at < end && first < 128) {
      this.next = at + 1;
      return SMALL[first]!;
    }
    let value = 0n;
    for (let i = 0; i < 10; i++) {
      if (at + i >= end) throw fail('a varint is cut off');
      const byte = this.window[at + i - this.from]!;
      value |= BigInt(byte & 127) << BigInt(7 * i);
      if (byte < 128) {
        this.next = at + i + 1;
        return BigInt.asUintN(64, value);
      }
    }
    throw fail('a varint is longer than 10 bytes');
  }
}

const SMALL = Array.from({ length: 128 }, (_, value) => BigInt(value));
