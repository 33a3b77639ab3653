import type { Piece } from '../file/piece.ts';

export type Layout =
  | {
      readonly kind: 'contiguous';
      /** Undefined if nothing was ever written. */
      readonly address: number | undefined;
    }
  | { readonly kind: 'compact'; readonly data: Uint8Array }
  | Chunked;

export interface Chunked {
  readonly kind: 'chunked';
  /** Elements along each dimension. */
  readonly chunk: readonly number[];
  readonly index: ChunkIndex;
  /** Whether chunks that extend beyond an edge of the dataset are stored without filters. */
  readonly plainEdges: boolean;
}

/** How the chunks are found; `address` is undefined if none was ever written. */
export interface ChunkIndex {
  readonly kind: 'tree1' | 'single' | 'implicit' | 'fixedArray' | 'extensibleArray' | 'tree2';
  readonly address: number | undefined;
  /** For a single filtered chunk: its stored size in bytes, and the mask of filters that were not applied. */
  readonly stored?: { readonly bytes: number; readonly mask: number };
}

const COMPACT = 0;
const CONTIGUOUS = 1;
const CHUNKED = 2;
const KINDS = ['single', 'implicit', 'fixedArray', 'extensibleArray', 'tree2'] as const;
/** Bytes of the parameters of each index, which the header of the index repeats. */
const PARAMETERS = { single: 0, implicit: 0, fixedArray: 1, extensibleArray: 5, tree2: 6 } as const;
const PLAIN_EDGES = 1;
const SINGLE_FILTERED = 2;

/** Where a dataset's values are (specification IV.A.2.i), for versions 1 to 5 of the message. */
export function readLayout(body: Piece): Layout {
  const version = body.u8();
  if (version < 1 || version > 5)
    throw body.file.unsupported(`a dataset's layout has version ${version}; versions 1 to 5 are supported`);
  if (version < 3) return oldLayout(body);
  const kind = body.u8();
  if (kind === COMPACT) return { kind: 'compact', data: compactData(body, body.u16()) };
  if (kind === CONTIGUOUS) return { kind: 'contiguous', address: body.address() };
  if (kind !== CHUNKED)
    throw body.file.unsupported('a dataset is assembled from parts of other datasets (a virtual dataset)');
  return version === 3 ? chunkedByTree(body) : chunkedByIndex(body);
}

function oldLayout(body: Piece): Layout {
  const rank = body.u8();
  const kind = body.u8();
  body.skip(5);
  const address = kind === COMPACT ? undefined : body.address();
  const sizes = Array.from({ length: rank }, () => body.u32());
  if (kind === CONTIGUOUS) return { kind: 'contiguous', address };
  if (kind === CHUNKED)
    return { kind: 'chunked', chunk: sizes.slice(0, -1), index: { kind: 'tree1', address }, plainEdges: false };
  return { kind: 'compact', data: compactData(body, body.u32()) };
}

function chunkedByTree(body: Piece): Layout {
  const rank = body.u8();
  const address = body.address();
  const chunk = Array.from({ length: Math.max(0, rank - 1) }, () => body.u32());
  return { kind: 'chunked', chunk, index: { kind: 'tree1', address }, plainEdges: false };
}

function chunkedByIndex(body: Piece): Layout {
  const flags = body.u8();
  const rank = body.u8();
  const sizeBytes = body.u8();
  if (sizeBytes < 1 || sizeBytes > 8) throw body.file.malformed(`a dataset has sizes of ${sizeBytes} bytes`);
  // The last size is the size of an element.
  const chunk = Array.from({ length: rank }, () => body.number(sizeBytes)).slice(0, -1);
  const number = body.u8();
  const kind = KINDS[number - 1];
  if (!kind)
    throw body.file.unsupported(
      `a dataset's chunks have index type ${number}; types 1 to ${KINDS.length} are supported`,
    );
  const filtered = kind === 'single' && (flags & SINGLE_FILTERED) !== 0;
  const stored = filtered ? { bytes: body.length(), mask: body.u32() } : undefined;
  body.skip(PARAMETERS[kind]);
  const index = { kind, address: body.address(), ...(stored && { stored }) };
  return { kind: 'chunked', chunk, index, plainEdges: (flags & PLAIN_EDGES) !== 0 };
}

/** Copied, because a view would keep the whole header in memory. */
function compactData(body: Piece, length: number): Uint8Array {
  const data = body.take(length);
  body.file.allowance.spend(length);
  return data.slice();
}
