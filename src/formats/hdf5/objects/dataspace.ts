import { MAX_DIMENSIONS } from '../../../bytes/limits.ts';
import type { Piece } from '../file/piece.ts';

export interface Dataspace {
  readonly shape: readonly number[];
  /** The maximum size of each dimension; undefined if it is unlimited. */
  readonly most: readonly (number | undefined)[];
}

/** Specification IV.A.2.b. */
export function readShape(body: Piece): Dataspace {
  const version = body.u8();
  const rank = body.u8();
  const flags = body.u8();
  const kind = body.u8();
  if (version === 1) body.skip(4);
  if (rank > MAX_DIMENSIONS) throw body.file.malformed(`a dataset has ${rank} dimensions`);
  // Kind 2 of version 2 is the null dataspace, which has no elements.
  if (version === 2 && kind === 2) return { shape: [0], most: [0] };
  const shape = Array.from({ length: rank }, () => body.length());
  const most = flags & 1 ? shape.map(() => body.sized(body.file.lengthSize)) : shape;
  if (most.some((size, i) => size !== undefined && size < shape[i]!))
    throw body.file.malformed(
      `a dataset has the shape ${shape.join(' x ')}, beyond its maximum of ${most.join(' x ')}`,
    );
  return { shape, most };
}
