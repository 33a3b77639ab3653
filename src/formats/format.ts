import type { Allowance } from '../bytes/allowance.ts';
import type { FileSource } from '../bytes/source/fileSource.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';

/** One way of storing a checkpoint. Adding a format is adding an entry to `registry.ts`. */
export interface Format {
  /** As in `Checkpoint.format`. */
  readonly name: string;
  /** Usual endings of file names, lower case with the dot; they decide where the content does not. */
  readonly extensions: readonly string[];
  /** Whether a file of `size` bytes that begins with `head` (at most HEAD_BYTES) is of this format. */
  recognizes(head: Uint8Array, size: number): boolean;
  /** Whether a zip archive with these entries is of this format. */
  recognizesArchive?(names: readonly string[]): boolean;
  /** The file among a folder's sorted `names` that stands for a checkpoint of this format. */
  entryOf?(names: readonly string[]): string | undefined;
  /**
   * Reads the directory. The checkpoint owns `source` from here on and closes it; where this throws, the caller does.
   * @throws RankscopeError
   */
  open(source: FileSource, context: OpenContext): Promise<Checkpoint>;
}

export interface OpenContext {
  /** What the user named: `Checkpoint.path`. The file itself is `source.name`. */
  readonly path: string;
  /** Remarks of the detection, to begin `Checkpoint.warnings` with. */
  readonly remarks: readonly string[];
  /** Of the whole checkpoint; spent before memory is taken that a file's content decides about. */
  readonly allowance: Allowance;
  readonly signal?: AbortSignal | undefined;
  /** Opens another file of the same checkpoint; an index over indexes is refused. */
  readonly openPart: (file: string) => Promise<Checkpoint>;
}
