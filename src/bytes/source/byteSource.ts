/** Random access to the bytes of one file, wherever they live. Readers never see a path or a descriptor. */
export interface ByteSource {
  /** What errors call this source: the file's path. */
  readonly name: string;
  /** Size in bytes when the source was opened. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`.
   * @throws RankscopeError 'malformed' beyond the end, 'changed' when the file is no longer the one that was opened.
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** The same, straight into `out`, which may lie in shared memory. */
  readInto(offset: number, out: Uint8Array, signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
