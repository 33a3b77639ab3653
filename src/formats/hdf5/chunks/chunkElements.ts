import type { Piece } from '../file/piece.ts';

/** A part of an array of chunks: `count` elements from `first` on. */
export interface Run {
  readonly first: number;
  readonly count: number;
  /** Absent where none of them was ever written. */
  readonly elements?: Piece;
  /** Bytes of an element: an address; where the chunks went through filters, the stored size and a mask too. */
  readonly size: number;
  readonly filtered: boolean;
}

/** Gives the part of the array that holds an element. */
export type ElementArray = (element: number) => Promise<Run>;

/** The head of either kind of array: which client it serves. */
export function readClient(head: Piece): { filtered: boolean; size: number } {
  const [client, size] = [head.u8(), head.u8()];
  const least = head.file.offsetSize + (client === 1 ? 5 : 0);
  if (client > 1 || size < least || size > head.file.offsetSize + 12)
    throw head.file.malformed(`an array of chunks has elements of ${size} bytes for the client ${client}`);
  return { filtered: client === 1, size };
}

/** Whether a bit is set; the first is the highest of the first byte. */
export function bitAt(bytes: Uint8Array, at: number): boolean {
  return ((bytes[at >> 3] ?? 0) & (0x80 >> (at & 7))) !== 0;
}
