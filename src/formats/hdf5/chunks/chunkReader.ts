import { elementCount } from '../../../base/shape.ts';
import { swapByteOrder } from '../../../bytes/decode.ts';
import { MAX_HDF5_CHUNK_GROWTH, MAX_HDF5_CHUNKS, MAX_HDF5_FILTERED_CHUNK } from '../../../bytes/limits.ts';
import type { Hdf5File } from '../file/hdf5File.ts';
import type { Dataset } from '../objects/dataset.ts';
import type { Chunked } from '../objects/layout.ts';
import { type ChunkTable, readChunkTable } from './chunkTable.ts';
import { readChunked } from './chunkValues.ts';
import { unfilter } from './filters.ts';
import { placeOf } from './grid.ts';

/** Reads the values of chunked datasets. The chunk table of a dataset is read when its values are first needed. */
export function chunkReader(whole: Hdf5File) {
  /** The most recently read tables, with at most `MAX_HDF5_CHUNKS` chunks in total. */
  const tables = new Map<Dataset, ChunkTable>();
  let last: { table: ChunkTable; cell: number; bytes: Uint8Array } | undefined;

  return async (dataset: Dataset, layout: Chunked, start: number, out: Float32Array, signal?: AbortSignal) => {
    if (out.length === 0) return;
    const { path, shape, type, filters } = dataset;
    const { chunk, plainEdges } = layout;
    const file = whole.forTask(signal);
    const table = await tableOf(file, dataset, layout);
    const size = elementCount(chunk) * type.bytes;
    const what = `a chunk of ${JSON.stringify(path)}`;
    const { grid } = table;

    async function bytes(cell: number, from: number, length: number): Promise<Uint8Array> {
      const stored = table.bytes[cell]!;
      if (filters.length > 0 && !(plainEdges && hangsOver(cell))) {
        const decoded = await decodedChunk(cell);
        return swapped(type.bigEndian ? decoded.slice(from, from + length) : decoded.subarray(from, from + length));
      }
      if (stored !== size) throw file.malformed(`${what} has ${stored} bytes of ${size}`);
      return swapped(await file.data(table.address[cell]! + from, length, what));
    }

    async function decodedChunk(cell: number): Promise<Uint8Array> {
      if (last?.table === table && last.cell === cell) return last.bytes;
      const stored = table.bytes[cell]!;
      if (size > MAX_HDF5_FILTERED_CHUNK || stored > MAX_HDF5_CHUNK_GROWTH * MAX_HDF5_FILTERED_CHUNK)
        throw file.tooLarge(`${what} has ${size} bytes; at most ${MAX_HDF5_FILTERED_CHUNK} are unpacked`);
      const packed = await file.data(table.address[cell]!, stored, what);
      const decoded = await unfilter(file, packed, filters, table.mask[cell]!, size);
      last = { table, cell, bytes: decoded };
      return decoded;
    }

    function hangsOver(cell: number): boolean {
      return placeOf(cell, grid).some((at, i) => (at + 1) * chunk[i]! > shape[i]!);
    }

    function swapped(part: Uint8Array): Uint8Array {
      if (type.bigEndian) swapByteOrder(part, type.bytes);
      return part;
    }

    await readChunked(
      {
        path,
        shape,
        chunk,
        grid,
        dtype: type.dtype,
        width: type.bytes,
        written: (cell) => !Number.isNaN(table.address[cell]!),
        bytes,
      },
      start,
      out,
      signal,
    );
  };

  async function tableOf(file: Hdf5File, dataset: Dataset, layout: Chunked): Promise<ChunkTable> {
    const found = tables.get(dataset);
    if (found) return found;
    const table = await readChunkTable(file, dataset, layout);
    let cells = table.grid.cells;
    for (const [other, { grid }] of [...tables].reverse()) {
      cells += grid.cells;
      if (cells > MAX_HDF5_CHUNKS) tables.delete(other);
    }
    tables.set(dataset, table);
    return table;
  }
}
