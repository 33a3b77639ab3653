import { RankscopeError } from '../../../base/errors.ts';
import type { Allowance } from '../../../bytes/allowance.ts';
import type { ByteSource } from '../../../bytes/source/byteSource.ts';

/** The widths in bytes of addresses and lengths, from the superblock, and the byte that addresses count from. */
export interface Widths {
  readonly offsetSize: number;
  readonly lengthSize: number;
  readonly base: number;
}

/** What decoding a structure of an HDF5 file needs besides its bytes. */
export class FileContext implements Widths {
  readonly offsetSize: number;
  readonly lengthSize: number;
  readonly base: number;

  constructor(
    readonly source: ByteSource,
    widths: Widths,
    /** The checkpoint's allowance, which pays for what the structures become in memory. */
    readonly allowance: Allowance,
  ) {
    this.offsetSize = widths.offsetSize;
    this.lengthSize = widths.lengthSize;
    this.base = widths.base;
  }

  malformed(found: string): RankscopeError {
    return new RankscopeError(
      'malformed',
      this.source.name,
      found,
      'It is damaged or cut off: copy or download it again',
    );
  }

  tooLarge(found: string): RankscopeError {
    return new RankscopeError('too-large', this.source.name, found, 'Save the weights again with h5py’s defaults');
  }

  unsupported(found: string): RankscopeError {
    return new RankscopeError('unsupported', this.source.name, found, 'Save the weights again with h5py’s defaults');
  }
}
