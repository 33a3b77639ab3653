import type { FileContext } from './fileContext.ts';
import { lookup3 } from './lookup3.ts';

/** Bytes of the checksum at the end of a structure. */
export const CHECKSUM = 4;

/** A cursor over the little-endian values of a structure. */
export class Piece {
  at = 0;
  private readonly view: DataView;

  constructor(
    readonly file: FileContext,
    readonly bytes: Uint8Array,
    private readonly what: string,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.bytes.length - this.at;
  }

  skip(length: number): number {
    const start = this.at;
    if (!(length >= 0 && start + length <= this.bytes.length)) throw this.file.malformed(`${this.what} is cut off`);
    this.at += length;
    return start;
  }

  u8(): number {
    return this.view.getUint8(this.skip(1));
  }

  u16(): number {
    return this.view.getUint16(this.skip(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.skip(4), true);
  }

  /**
   * An unsigned number of `size` bytes; undefined for all ones, which means "nowhere", and for anything beyond 2^53.
   */
  sized(size: number): number | undefined {
    const bytes = this.take(size);
    const value = unsigned(bytes);
    return value > Number.MAX_SAFE_INTEGER || bytes.every((byte) => byte === 0xff) ? undefined : value;
  }

  /** An unsigned number of `size` bytes, for which all ones are a value too. */
  number(size: number): number {
    const value = unsigned(this.take(size));
    if (value > Number.MAX_SAFE_INTEGER) throw this.file.malformed(`${this.what} has an impossible number`);
    return value;
  }

  address(): number | undefined {
    return this.sized(this.file.offsetSize);
  }

  /** An address that must be defined. */
  place(): number {
    const address = this.address();
    if (address === undefined) throw this.file.malformed(`${this.what} points nowhere`);
    return address;
  }

  length(): number {
    return this.number(this.file.lengthSize);
  }

  take(length: number): Uint8Array {
    return this.bytes.subarray(this.skip(length), this.at);
  }

  sub(length: number, what: string): Piece {
    return new Piece(this.file, this.take(length), what);
  }

  /** Text of `length` bytes, which a zero byte may end earlier. */
  text(length: number): string {
    const bytes = this.take(length);
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** Checks and skips a signature and, if `version` is given, the version after it. */
  expect(signature: string, version?: number): void {
    const found = Buffer.from(this.take(signature.length)).toString('latin1');
    if (found !== signature) throw this.file.malformed(`${this.what} does not begin with ${signature}`);
    if (version === undefined) return;
    const own = this.u8();
    if (own !== version)
      throw this.file.unsupported(`${this.what} has version ${own}; only version ${version} is supported`);
  }

  /** The bytes before the checksum at the end. @throws 'malformed' if the checksum does not match */
  sealed(): Piece {
    const end = this.bytes.length - CHECKSUM;
    if (end < 0) throw this.file.malformed(`${this.what} is cut off`);
    const body = this.bytes.subarray(0, end);
    this.verify(body, this.view.getUint32(end, true));
    return new Piece(this.file, body, this.what);
  }

  /** @throws 'malformed' if `bytes` have another checksum, with the four bytes at `blank` counted as zeros */
  verify(bytes: Uint8Array, checksum: number, blank?: number): void {
    if (lookup3(bytes, blank) !== checksum) throw this.file.malformed(`${this.what} does not match its checksum`);
  }
}

function unsigned(bytes: Uint8Array): number {
  let value = 0;
  for (let i = bytes.length - 1; i >= 0; i--) value = 256 * value + bytes[i]!;
  return value;
}
