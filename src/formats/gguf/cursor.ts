/** The bytes read so far end inside a value: the caller reads more and starts again. */
export class NeedMore extends Error {}

/** A cursor over little-endian values at the start of a file, of which only the first bytes have been read. */
export class Cursor {
  at = 0;
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    /** Lengths and counts are u64 from version 2 on, u32 in version 1. */
    private readonly wide: boolean,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  skip(length: number): number {
    const start = this.at;
    if (start + length > this.bytes.length) throw new NeedMore();
    this.at += length;
    return start;
  }

  u32(): number {
    return this.view.getUint32(this.skip(4), true);
  }

  /** A count or length; anything beyond 2^53 becomes infinity, which exceeds every bound. */
  count(): number {
    if (!this.wide) return this.u32();
    return this.u64();
  }

  u64(): number {
    const value = this.view.getBigUint64(this.skip(8), true);
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.POSITIVE_INFINITY : Number(value);
  }

  /** A scalar of a GGUF type number, as text. */
  scalar(type: number): string {
    const { view } = this;
    switch (type) {
      case 0:
        return String(view.getUint8(this.skip(1)));
      case 1:
        return String(view.getInt8(this.skip(1)));
      case 2:
        return String(view.getUint16(this.skip(2), true));
      case 3:
        return String(view.getInt16(this.skip(2), true));
      case 4:
        return String(view.getUint32(this.skip(4), true));
      case 5:
        return String(view.getInt32(this.skip(4), true));
      case 6:
        return String(view.getFloat32(this.skip(4), true));
      case 7:
        return String(view.getUint8(this.skip(1)) !== 0);
      case 10:
        return String(view.getBigUint64(this.skip(8), true));
      case 11:
        return String(view.getBigInt64(this.skip(8), true));
      default:
        return String(view.getFloat64(this.skip(8), true));
    }
  }

  /** A scalar of a GGUF type number, as a number; true is 1. */
  number(type: number): number {
    const text = this.scalar(type);
    return type === 7 ? Number(text === 'true') : Number(text);
  }

  /** A string whose length in bytes has been checked. */
  text(length: number): string {
    const start = this.skip(length);
    return TEXT.decode(this.bytes.subarray(start, start + length));
  }
}

// A token may begin with U+FEFF, which a decoder drops by default.
const TEXT = new TextDecoder('utf-8', { ignoreBOM: true });
