import { elementCount } from '../../../base/shape.ts';
import { MAX_HDF5_CHUNKS } from '../../../bytes/limits.ts';
import type { Hdf5File } from '../file/hdf5File.ts';
import type { Piece } from '../file/piece.ts';
import type { Dataset } from '../objects/dataset.ts';
import type { Chunked } from '../objects/layout.ts';
import { leaves } from '../structures/btree1.ts';
import { records } from '../structures/btree2.ts';
import type { ElementArray, Run } from './chunkElements.ts';
import { extensibleArray } from './extensibleArray.ts';
import { fixedArray } from './fixedArray.ts';
import { type Grid, gridOf, placeOf, stepsOf } from './grid.ts';

/** Where the chunks of a dataset are, with one entry in each array for each cell of the grid. */
export interface ChunkTable {
  readonly grid: Grid;
  /** NaN for a chunk that was never written. */
  readonly address: Float64Array;
  /** Stored sizes. */
  readonly bytes: Float64Array;
  /** A bit is set for each filter that was not applied to the chunk. */
  readonly mask: Uint32Array;
}

/** Record types of the B-trees of unfiltered and of filtered chunks. */
const PLAIN = 10;
const FILTERED = 11;

/**
 * Reads the index of a dataset's chunks, of any kind.
 * @throws RankscopeError 'malformed', 'too-large' or 'unsupported'
 */
export async function readChunkTable(file: Hdf5File, dataset: Dataset, layout: Chunked): Promise<ChunkTable> {
  const { path, shape, most, type } = dataset;
  const { chunk, index } = layout;
  const quoted = JSON.stringify(path);
  const size = elementCount([...chunk, type.bytes]);
  if (chunk.length !== shape.length || shape.length === 0 || !(size > 0 && Number.isSafeInteger(size)))
    throw file.malformed(`dataset ${quoted} of the shape ${shape.join(' x ')} has chunks of ${chunk.join(' x ')}`);
  const grid = gridOf(shape, chunk);
  if (grid.cells > MAX_HDF5_CHUNKS)
    throw file.tooLarge(`dataset ${quoted} has ${grid.cells} chunks; at most ${MAX_HDF5_CHUNKS} are looked up`);
  const table: ChunkTable = {
    grid,
    address: new Float64Array(grid.cells).fill(Number.NaN),
    bytes: new Float64Array(grid.cells),
    mask: new Uint32Array(grid.cells),
  };
  const set = (cell: number, address: number, bytes: number, mask: number) => {
    table.address[cell] = address;
    table.bytes[cell] = bytes;
    table.mask[cell] = mask;
  };
  const setAt = (place: readonly number[], address: number, bytes: number, mask: number) => {
    if (place.some((at, i) => !(at < grid.shape[i]! && Number.isInteger(at))))
      throw file.malformed(`a chunk of ${quoted} lies outside its dataset`);
    set(
      place.reduce((cell, at, i) => cell + at * grid.steps[i]!, 0),
      address,
      bytes,
      mask,
    );
  };
  const { address, kind, stored } = index;
  if (address === undefined || grid.cells === 0) return table;
  switch (kind) {
    case 'single':
      set(0, address, stored?.bytes ?? size, stored?.mask ?? 0);
      break;
    case 'tree1':
      await leaves(file, address, 1, 16 + 8 * shape.length, (child, key) => {
        const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
        const place = chunk.map((step, i) => Number(view.getBigUint64(8 + 8 * i, true)) / step);
        setAt(place, child, view.getUint32(0, true), view.getUint32(4, true));
      });
      break;
    case 'tree2':
      await records(file, address, [PLAIN, FILTERED], (record, recordType) => {
        const [at, bytes, mask] = recordType === FILTERED ? filteredChunk(record) : [record.place(), size, 0];
        setAt(
          chunk.map(() => record.number(8)),
          at,
          bytes,
          mask,
        );
      });
      break;
    case 'implicit':
      for (const { cell, step, element, count } of lines())
        for (let i = 0; i < count; i++) set(cell + i * step, address + (element + i) * size, size, 0);
      break;
    case 'fixedArray':
      await fromArray(await fixedArray(file, address));
      break;
    case 'extensibleArray':
      await fromArray(await extensibleArray(file, address));
  }
  return table;

  /** The stored size takes the bytes of the record that nothing else takes. */
  function filteredChunk(record: Piece): [number, number, number] {
    const sizeBytes = record.left - file.offsetSize - 4 - 8 * shape.length;
    return [record.place(), record.number(sizeBytes), record.u32()];
  }

  async function fromArray(array: ElementArray): Promise<void> {
    let run = await array(0);
    for (const { cell, step, element, count } of lines()) {
      for (let i = 0; i < count; i++) {
        const number = element + i;
        if (!(number >= run.first && number < run.first + run.count)) run = await array(number);
        if (run.elements) take(cell + i * step, run.elements, number - run.first, run);
        else i = run.first + run.count - element - 1;
      }
    }
  }

  function take(cell: number, elements: Piece, at: number, { size: elementSize, filtered }: Run): void {
    elements.at = at * elementSize;
    const place = elements.address();
    if (place === undefined) return;
    if (filtered) set(cell, place, elements.number(elementSize - file.offsetSize - 4), elements.u32());
    else set(cell, place, size, 0);
  }

  /**
   * The cells of the grid, line by line. Each line has its first cell, the step to the next cell, and the index of the
   * first cell in an array of chunks, where the cells of a line are consecutive. Such an array counts all chunks that
   * the dataset may ever have, and an unlimited dimension is the slowest.
   */
  function* lines(): Generator<{ cell: number; step: number; element: number; count: number }> {
    const unlimited = kind === 'extensibleArray' ? most.indexOf(undefined) : 0;
    const order = chunk.map((_, i) => i);
    if (unlimited > 0) order.unshift(...order.splice(unlimited, 1));
    // The final size of the unlimited dimension is never needed, because it is the slowest.
    const full = gridOf(
      most.map((size, i) => size ?? shape[i]!),
      chunk,
    ).shape;
    const steps = stepsOf(order.map((i) => full[i]!));
    const outer = order.slice(0, -1);
    const last = order.at(-1)!;
    const outerShape = outer.map((i) => grid.shape[i]!);
    const outerGrid = { shape: outerShape, steps: stepsOf(outerShape), cells: elementCount(outerShape) };
    for (let line = 0; line < outerGrid.cells; line++) {
      let [cell, element] = [0, 0];
      for (const [i, place] of placeOf(line, outerGrid).entries()) {
        cell += place * grid.steps[outer[i]!]!;
        element += place * steps[i]!;
      }
      yield { cell, step: grid.steps[last]!, element, count: grid.shape[last]! };
    }
  }
}
