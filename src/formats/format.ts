import type { Allowance } from '../bytes/allowance.ts';
import type { FileSource } from '../bytes/source/fileSource.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';

/** One way of storing a checkpoint. A new format is a folder beside this file and an entry in `registry.ts`. */
export interface Format {
  /** As in `Checkpoint.format`. */
  readonly name: string;
  /** The usual file extensions, in lower case with the dot. They decide only where the content does not. */
  readonly extensions: readonly string[];
  /** Whether a file of `size` bytes that starts with `head` (at most HEAD_BYTES) is in this format. */
  recognizes(head: Uint8Array, size: number): boolean;
  /** Whether a zip archive with entries of these names is in this format. */
  recognizesArchive?(names: readonly string[]): boolean;
  /**
   * The file to open when the user names a folder that contains `names` (sorted); undefined for none of this format.
   */
  entryOf?(names: readonly string[]): string | undefined;
  /**
   * Reads the directory. The returned checkpoint owns `source` and closes it; if this throws, the caller closes it.
   * @throws RankscopeError
   */
  open(source: FileSource, context: OpenContext): Promise<Checkpoint>;
}

export interface OpenContext {
  /** The path that the user gave, for `Checkpoint.path`. The path of the file itself is `source.name`. */
  readonly path: string;
  /** Remarks from format detection, which come first in `Checkpoint.warnings`. */
  readonly remarks: readonly string[];
  /** Shared by the whole checkpoint. Spend from it before allocating memory whose size the file's content decides. */
  readonly allowance: Allowance;
  readonly signal?: AbortSignal | undefined;
  /** Opens another file of the same checkpoint. An index that lists an index is refused. */
  readonly openPart: (file: string) => Promise<Checkpoint>;
}
