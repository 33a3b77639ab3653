/** What is wrong with a pickle; the caller knows the file's name. */
export class PickleFault extends Error {}

/** The pickle goes on beyond the bytes at hand. */
export class PickleEnd extends PickleFault {}

/** The arguments of pickle opcodes, in order, from bytes. */
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

  data(length: number): Buffer {
    const start = this.take(length);
    return this.bytes.subarray(start, start + length);
  }

  text(length: number, encoding: 'utf8' | 'latin1' = 'utf8'): string {
    const start = this.take(length);
    return this.bytes.toString(encoding, start, start + length);
  }

  /** A line without its line break. */
  line(encoding: 'utf8' | 'latin1' = 'utf8'): string {
    const end = this.bytes.indexOf(10, this.at);
    if (end < 0) throw new PickleEnd('a line of it has no end');
    const text = this.bytes.toString(encoding, this.at, end);
    this.at = end + 1;
    return text;
  }

  /** A two's complement number of `length` bytes, little end first. */
  long(length: number): number | bigint {
    if (length > 1024) throw new PickleFault(`it has a whole number of ${length} bytes`);
    const bytes = this.data(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    return narrow(BigInt.asIntN(length * 8, value));
  }

  private take(length: number): number {
    const start = this.at;
    if (!(start + length <= this.bytes.length))
      throw new PickleEnd(`${length} bytes are wanted at ${start}, where it ends`);
    this.at += length;
    return start;
  }
}

/** A number where it is exact as one. */
export function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
