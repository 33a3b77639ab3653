/** Random access to the bytes of one file, wherever they live. Readers never see a path or a descriptor. */
export interface ByteSource {
  /** The name of this source in error messages: the file's path. */
  readonly name: string;
  /** Size in bytes when the source was opened. */
  readonly size: number;
  /**
   * Reads exactly `length` bytes from `offset`.
   * @throws RankscopeError 'malformed' beyond the end, 'changed' if the file has changed since it was opened
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** Fills `out`, which may be shared memory, from `offset`. */
  readInto(offset: number, out: Uint8Array, signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
