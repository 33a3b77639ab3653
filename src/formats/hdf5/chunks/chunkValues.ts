import { throwIfCancelled } from '../../../base/errors.ts';
import { elementCount } from '../../../base/shape.ts';
import { decoderOf } from '../../../bytes/decode.ts';
import { CHUNK_BYTES } from '../../../bytes/limits.ts';
import { type Grid, placeOf, stepsOf } from './grid.ts';

/** What reading values needs to know of a chunked dataset. */
export interface ChunkedValues {
  readonly path: string;
  readonly shape: readonly number[];
  readonly chunk: readonly number[];
  readonly grid: Grid;
  readonly dtype: string;
  /** Bytes of an element. */
  readonly width: number;
  /** Whether the chunk of a cell was written. */
  written(cell: number): boolean;
  /** `length` bytes of a cell's chunk from byte `from` on, with little-endian elements in row-major order. */
  bytes(cell: number, from: number, length: number): Promise<Uint8Array>;
}

/**
 * Fills `out` with the elements from `start` on, in row-major order. Elements whose chunk was never written keep their
 * value in `out`.
 */
export async function readChunked(
  values: ChunkedValues,
  start: number,
  out: Float32Array,
  signal?: AbortSignal,
): Promise<void> {
  const { path, shape, chunk, grid, dtype, width } = values;
  const steps = stepsOf(shape);
  const end = start + out.length;
  const [firstRow, lastRow] = [Math.floor(start / steps[0]!), Math.floor((end - 1) / steps[0]!)];
  const firstCell = Math.floor(firstRow / chunk[0]!) * grid.steps[0]!;
  const lastCell = (Math.floor(lastRow / chunk[0]!) + 1) * grid.steps[0]!;
  const decode = decoderOf(dtype);
  const line = chunk.at(-1)!;
  /** Lines in one row of a chunk; a chunk of one dimension is a single line. */
  const perRow = elementCount(chunk.slice(1, -1));
  const atOnce = Math.max(1, Math.floor(CHUNK_BYTES / (line * width)));
  for (let cell = firstCell; cell < lastCell; cell++) {
    if (!values.written(cell)) continue;
    const origin = placeOf(cell, grid).map((at, i) => at * chunk[i]!);
    const flat = shape.length === 1;
    const from = flat ? 0 : Math.max(0, firstRow - origin[0]!) * perRow;
    const to = flat ? 1 : Math.min(chunk[0]!, lastRow + 1 - origin[0]!) * perRow;
    for (let at = from; at < to; at += atOnce) {
      throwIfCancelled(signal, path);
      await copyLines(cell, origin, at, Math.min(to, at + atOnce));
    }
  }

  async function copyLines(cell: number, origin: readonly number[], from: number, to: number): Promise<void> {
    // A line may be long, so of a single one only the part that is wanted is read.
    const single = to - from === 1 ? wanted(from, origin) : undefined;
    if (to - from === 1 && !single) return;
    const begin = from * line + (single?.from ?? 0);
    const count = single ? single.to - single.from : (to - from) * line;
    const bytes = await values.bytes(cell, begin * width, count * width);
    for (let i = from; i < to; i++) {
      const part = wanted(i, origin);
      if (!part) continue;
      const at = (i * line + part.from - begin) * width;
      decode(bytes.subarray(at), out.subarray(part.into, part.into + part.to - part.from));
    }
  }

  /**
   * The part of a chunk's line that is wanted, and its place in `out`. Chunks may extend beyond the edges of the
   * dataset.
   */
  function wanted(number: number, origin: readonly number[]): { from: number; to: number; into: number } | undefined {
    let place = origin.at(-1)!;
    let rest = number;
    for (let i = shape.length - 2; i >= 0; i--) {
      const index = origin[i]! + (rest % chunk[i]!);
      if (index >= shape[i]!) return undefined;
      place += index * steps[i]!;
      rest = Math.floor(rest / chunk[i]!);
    }
    const inside = Math.min(line, shape.at(-1)! - origin.at(-1)!);
    const from = Math.max(0, start - place);
    const to = Math.min(inside, end - place);
    return from < to ? { from, to, into: place + from - start } : undefined;
  }
}
