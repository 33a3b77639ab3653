import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import type { ByteSource } from '../byteSource.ts';

/** Pieces of an HDF5 file's structure are small; a larger one is not believed. */
const MAX_PIECE = 16 << 20;

/** An HDF5 file as its structures see it: addresses and lengths in the widths that the superblock names. */
export class Hdf5File {
  /** Pieces read so far: bounds the walk of a file whose structures point in circles. */
  private pieces = 0;

  constructor(
    readonly source: ByteSource,
    readonly offsetSize: number,
    readonly lengthSize: number,
    readonly base: number,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** A cursor over `length` bytes at `address`. @throws 'malformed' outside the file */
  async piece(address: number, length: number, what: string): Promise<Piece> {
    throwIfCancelled(this.signal, this.source.name);
    if (++this.pieces > 4_000_000) throw this.malformed(`the file's structure has no end`);
    if (!(length >= 0 && length <= MAX_PIECE)) throw this.malformed(`${what} claims ${length} bytes`);
    const at = this.base + address;
    if (!(at >= 0 && at + length <= this.source.size))
      throw this.malformed(
        `${what} should be at byte ${at} to ${at + length}, but the file ends at ${this.source.size}`,
      );
    return new Piece(this, await this.source.read(at, length, this.signal), what);
  }

  malformed(found: string): RankscopeError {
    return new RankscopeError(
      'malformed',
      this.source.name,
      found,
      'It is damaged or cut off: copy or download it again',
    );
  }

  unsupported(found: string): RankscopeError {
    return new RankscopeError('unsupported', this.source.name, found, 'Save the weights again with h5py’s defaults');
  }
}

/** Little-endian values, one behind the other. */
export class Piece {
  at = 0;
  private readonly view: DataView;

  constructor(
    readonly file: Hdf5File,
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

  /** An unsigned number of `size` bytes; all ones, which stands for "nowhere", and whatever is beyond 2^53 come as undefined. */
  sized(size: number): number | undefined {
    let value = 0n;
    const start = this.skip(size);
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[start + i]!);
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(value);
  }

  address(): number | undefined {
    return this.sized(this.file.offsetSize);
  }

  /** An address that must lead somewhere. */
  place(): number {
    const address = this.address();
    if (address === undefined) throw this.file.malformed(`${this.what} points nowhere`);
    return address;
  }

  length(): number {
    const length = this.sized(this.file.lengthSize);
    if (length === undefined) throw this.file.malformed(`${this.what} has an impossible length`);
    return length;
  }

  sub(length: number, what: string): Piece {
    const start = this.skip(length);
    return new Piece(this.file, this.bytes.subarray(start, start + length), what);
  }

  /** Text up to a zero byte at most. */
  text(length: number): string {
    const bytes = this.bytes.subarray(this.skip(length), this.at);
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  expect(signature: string): void {
    const found = Buffer.from(this.bytes.subarray(this.skip(signature.length), this.at)).toString('latin1');
    if (found !== signature) throw this.file.malformed(`${this.what} does not begin with ${signature}`);
  }
}
