import { throwIfCancelled } from '../../../base/errors.ts';
import type { Allowance } from '../../../bytes/allowance.ts';
import { HDF5_BASE_READING, MAX_HDF5_PIECE, MAX_HDF5_READINGS } from '../../../bytes/limits.ts';
import type { ByteSource } from '../../../bytes/source/byteSource.ts';
import { FileContext, type Widths } from './fileContext.ts';
import { Piece } from './piece.ts';

/** Reads an HDF5 file for one task: a walk through its groups, or the reading of one tensor. */
export class Hdf5File extends FileContext {
  private bytesRead = 0;

  constructor(
    source: ByteSource,
    widths: Widths,
    allowance: Allowance,
    private readonly signal: AbortSignal | undefined,
  ) {
    super(source, widths, allowance);
  }

  /** The same file for another task, which `signal` cancels. */
  forTask(signal: AbortSignal | undefined): Hdf5File {
    return new Hdf5File(this.source, this, this.allowance, signal);
  }

  /** A cursor over `length` bytes of structure at `address`. @throws 'malformed' if they are not all in the file */
  async piece(address: number, length: number, what: string): Promise<Piece> {
    if (!(length >= 0 && length <= MAX_HDF5_PIECE)) throw this.malformed(`${what} claims ${length} bytes`);
    this.bytesRead += length;
    if (this.bytesRead > MAX_HDF5_READINGS * this.source.size + HDF5_BASE_READING)
      throw this.malformed(`its structures lead in circles, most recently to ${what}`);
    return new Piece(this, await this.data(address, length, what), what);
  }

  /**
   * Reads a structure of `length` bytes that begins with `signature` and a version and ends with a checksum. The cursor
   * starts after the version and ends before the checksum.
   */
  async sealed(address: number, length: number, signature: string, what: string, version = 0): Promise<Piece> {
    const piece = (await this.piece(address, length, what)).sealed();
    piece.expect(signature, version);
    return piece;
  }

  /** Reads values, of any length. @throws 'malformed' if they are not all in the file */
  async data(address: number, length: number, what: string): Promise<Uint8Array> {
    throwIfCancelled(this.signal, this.source.name);
    const at = this.base + address;
    if (!(length >= 0 && at >= 0 && at + length <= this.source.size))
      throw this.malformed(
        `${what} should be at byte ${at} to ${at + length}, but the file ends at ${this.source.size}`,
      );
    return await this.source.read(at, length, this.signal);
  }
}
