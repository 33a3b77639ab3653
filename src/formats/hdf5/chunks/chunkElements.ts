import type { Piece } from '../file/piece.ts';

/** Consecutive elements of an array of chunks: `count` from `first` on. */
export interface Run {
  readonly first: number;
  readonly count: number;
  /** Absent if none of them was ever written. */
  readonly elements?: Piece;
  /** Bytes of an element: an address and, if the chunks are filtered, the stored size and a filter mask. */
  readonly size: number;
  readonly filtered: boolean;
}

/** Reads the run that contains an element. */
export type ElementArray = (element: number) => Promise<Run>;

/** Reads from the header of either kind of array whether its chunks are filtered, and the size of an element. */
export function readClient(head: Piece): { filtered: boolean; size: number } {
  const [client, size] = [head.u8(), head.u8()];
  const least = head.file.offsetSize + (client === 1 ? 5 : 0);
  if (client > 1 || size < least || size > head.file.offsetSize + 12)
    throw head.file.malformed(`an array of chunks has elements of ${size} bytes for the client ${client}`);
  return { filtered: client === 1, size };
}

/** Whether a bit is set, counted from the highest bit of the first byte. */
export function bitAt(bytes: Uint8Array, at: number): boolean {
  return ((bytes[at >> 3] ?? 0) & (0x80 >> (at & 7))) !== 0;
}
