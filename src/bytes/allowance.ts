import { RankscopeError } from '../base/errors.ts';
import { formatBytes } from '../base/quantities.ts';
import { DIRECTORY_SHARE_OF_FILE, MAX_DIRECTORY_BYTES } from './limits.ts';

/** Bytes that a tensor takes in a directory besides its name and sizes. */
const TENSOR_BYTES = 400;

/**
 * What the directory of one checkpoint, all its files together, may take of this process's memory. Counts of things say
 * little about that: a hostile file chooses those that are cheap to write and costly to hold. Readers spend the bytes
 * that they estimate before they take them, and nothing is ever given back.
 */
export class Allowance {
  constructor(
    private readonly path: string,
    private left = MAX_DIRECTORY_BYTES,
  ) {}

  /** What is left. */
  get remaining(): number {
    return this.left;
  }

  /** Adds what a file of this size is worth. */
  widen(fileBytes: number): void {
    this.left += fileBytes * DIRECTORY_SHARE_OF_FILE;
  }

  /** Spends nothing where it throws, so that what is optional can be left out. @throws RankscopeError 'too-large' */
  spend(bytes: number): void {
    if (bytes > this.left)
      throw new RankscopeError(
        'too-large',
        this.path,
        `the description of what it holds takes more than ${formatBytes(MAX_DIRECTORY_BYTES)}`,
        'No real checkpoint needs that: it is damaged, or made to exhaust the memory of those who open it',
      );
    this.left -= bytes;
  }

  /** For one more tensor, whose texts (name, path, key) have `characters` together. */
  spendTensor(characters: number, dimensions: number): void {
    this.spend(TENSOR_BYTES + 2 * characters + 16 * dimensions);
  }
}
