import { MAX_PICKLE_INTEGER } from '../limits.ts';
/** A fault in a pickle. The caller adds the file's name. */
export class PickleFault extends Error {}

/** The pickle continues beyond the available bytes. */
export class PickleEnd extends PickleFault {
  constructor(
    message: string,
    /** The number of bytes that would be enough; undefined if it is not known. */
    readonly enough?: number,
  ) {
    super(message);
  }
}

/** Reads opcodes and their arguments from bytes. */
export class PickleReader {
  readonly bytes: Buffer;
  private readonly view: DataView;

  constructor(
    bytes: Uint8Array,
    public at = 0,
  ) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.view.getUint8(this.take(1));
  }

  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }

  i32(): number {
    return this.view.getInt32(this.take(4), true);
  }

  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  u64(): number {
    return Number(this.view.getBigUint64(this.take(8), true));
  }

  f64(): number {
    return this.view.getFloat64(this.take(8), false);
  }

  /** A view, which keeps the underlying bytes in memory unless it is copied. */
  data(length: number): Buffer {
    const start = this.take(length);
    return this.bytes.subarray(start, start + length);
  }

  /** A line without its line break, as a view. */
  line(): Buffer {
    const end = this.bytes.indexOf(10, this.at);
    if (end < 0) throw new PickleEnd('one of its lines has no end');
    const line = this.bytes.subarray(this.at, end);
    this.at = end + 1;
    return line;
  }

  /** A little-endian two's complement integer of `length` bytes. */
  long(length: number): number | bigint {
    if (length > MAX_PICKLE_INTEGER) throw new PickleFault(`it has an integer of ${length} bytes`);
    const bytes = this.data(length);
    if (length === 0) return 0;
    if (length <= 6) return bytes.readIntLE(0, length);
    const value = BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
    return narrow(BigInt.asIntN(length * 8, value));
  }

  private take(length: number): number {
    const start = this.at;
    if (!(start + length <= this.bytes.length))
      throw new PickleEnd(`${length} bytes are needed at ${start}, where it ends`, start + length);
    this.at += length;
    return start;
  }
}

/** The value as a number if that is exact. */
export function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
