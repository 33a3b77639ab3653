import { RankscopeError } from '../base/errors.ts';
import { formatBytes } from '../base/quantities.ts';
import { DIRECTORY_SHARE_OF_FILE, MAX_DIRECTORY_BYTES } from './limits.ts';

/** Memory of a tensor in a directory, besides its name and shape. */
const TENSOR_BYTES = 400;

/**
 * What the directory of one checkpoint, all its files together, may take of this process's memory. Counts of things say
 * little about that: a hostile file chooses those that are cheap to write and costly to hold. Readers spend the bytes
 * that they estimate before they take them, and nothing is ever given back.
 */
export class Allowance {
  private readonly bound: number;

  constructor(
    private readonly path: string,
    private left = MAX_DIRECTORY_BYTES,
  ) {
    this.bound = left;
  }

  get remaining(): number {
    return this.left;
  }

  /** Adds the share of a file of this size. */
  widen(fileBytes: number): void {
    this.left += fileBytes * DIRECTORY_SHARE_OF_FILE;
  }

  /** Spends nothing if it throws, so that the caller can skip what is optional. @throws RankscopeError 'too-large' */
  spend(bytes: number): void {
    if (bytes > this.left)
      throw new RankscopeError(
        'too-large',
        this.path,
        `the description of its contents takes more than ${formatBytes(this.bound)}`,
        'No real checkpoint needs that: the file is damaged, or made to exhaust memory',
      );
    this.left -= bytes;
  }

  /** Pays for one tensor whose texts (name, path, key) have `characters` in total. */
  spendTensor(characters: number, dimensions: number): void {
    this.spend(TENSOR_BYTES + 2 * characters + 16 * dimensions);
  }
}
