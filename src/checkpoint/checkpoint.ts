import type { JsonObject } from '../bytes/boundedJson.ts';
import type { SecurityFinding } from '../bytes/pickle/security.ts';
import type { FileIdentity } from '../bytes/source/fileSource.ts';
import type { Tensor } from './tensor.ts';

/** An opened checkpoint of any format: its directory, whose tensors read themselves until it is closed. */
export interface Checkpoint {
  /** The path the user named: a file, an index or a folder. */
  readonly path: string;
  /** e.g. `safetensors`, `gguf`, `pytorch`. */
  readonly format: string;
  readonly files: readonly FileIdentity[];
  /** Total size of the files in bytes. */
  readonly bytes: number;
  readonly tensors: readonly Tensor[];
  readonly metadata: ReadonlyMap<string, string>;
  /**
   * Reads a list in the metadata, such as a vocabulary, of which `metadata` only has the length; undefined if there is
   * none of this name. Only formats with lists have this.
   * @throws RankscopeError 'malformed', 'too-large'
   */
  list?(key: string, signal?: AbortSignal): Promise<MetadataList | undefined>;
  /** The configuration of the model (config.json) beside the files; undefined without one. */
  readonly configuration?: JsonObject | undefined;
  /** What a copy of a GGUF file takes over; absent for other formats, sets of files and version 1. */
  readonly original?: GgufOriginal;
  /** Oddities that do not prevent reading, one sentence each. */
  readonly warnings: readonly string[];
  readonly security: readonly SecurityFinding[];
  close(): Promise<void>;
}

/** The parts of a GGUF file that a copy takes over as they are. */
export interface GgufOriginal {
  readonly version: number;
  /** Where the metadata are in the file, in bytes, and how many entries they have. */
  readonly pairs: { readonly count: number; readonly offset: number; readonly bytes: number };
  readonly alignment: number;
  /** By name, in order: ggml's number of the type, and the bytes in the file. */
  readonly tensors: ReadonlyMap<string, { readonly code: number; readonly offset: number; readonly bytes: number }>;
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
}

/** The items of a list in the metadata; truth values are 0 and 1. */
export type MetadataList = readonly string[] | Float64Array;

/** The checkpoint with this directory, which owns `sources`: closing it closes them. */
export function checkpointOver(
  directory: Omit<Checkpoint, 'bytes' | 'close'>,
  sources: readonly { close(): Promise<void> }[],
): Checkpoint {
  return {
    ...directory,
    bytes: directory.files.reduce((sum, file) => sum + file.size, 0),
    async close() {
      await Promise.all(sources.map((source) => source.close()));
    },
  };
}
