import { RankscopeError } from '../../base/errors.ts';
import type { Matrix, RoutineOptions } from '../backend.ts';
import type { NetworkOperations } from '../networkOperations.ts';
import { SUMMARY } from '../rowSummaries.ts';
import type { Work } from './job.ts';
import type { Kernels } from './kernels.ts';
import type { Heap } from './memory.ts';
import { attendRoom } from './routines/attend.ts';
import { block } from './routines/product.ts';
import { ACTIVATIONS, onRowsHere, type RowArgs } from './routines/rows.ts';

/** What the operations need of the backend. */
export interface Host {
  readonly threads: number;
  readonly heap: Heap;
  readonly kernels: Kernels;
  /** The address of a matrix. @throws for one that was freed or belongs to another device */
  at(matrix: Matrix): number;
  withRoom<Result>(bytes: number, subject: string, use: (room: number) => Promise<Result>): Promise<Result>;
  run(work: Work, subject: string, options?: RoutineOptions): Promise<unknown>;
}

/** Up to this many entries one thread works alone: waking the others would take as long. */
const FEW = 2 ** 14;
/** The i32 kernels count positions with. */
const ALL = 2 ** 31 - 1;

export function cpuNetworkOperations(host: Host): NetworkOperations {
  const onRows = async (args: RowArgs): Promise<void> => {
    if (args.rows * args.cols <= FEW) onRowsHere(host.kernels, args);
    else await host.run({ routine: 'rows', args }, args.operation);
  };
  /** Copies small arrays to shared memory and hands `use` their addresses; 0 for those that are absent. */
  const withVectors = (
    vectors: readonly (Float32Array | Int32Array | undefined)[],
    use: (addresses: readonly number[]) => Promise<void>,
  ): Promise<void> => {
    const bytes = vectors.reduce((sum, vector) => sum + (vector?.length ?? 0) * 4, 0);
    return host.withRoom(bytes, 'vectors', (room) => {
      let next = room;
      const addresses = vectors.map((vector) => {
        if (!vector) return 0;
        const at = next;
        host.heap.bytes(at, vector.byteLength).set(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength));
        next += vector.byteLength;
        return at;
      });
      return use(addresses);
    });
  };
  const entries = (x: Matrix) => ({ x: host.at(x), rows: x.rows, cols: x.cols });
  const same = (x: Matrix, y: Matrix) => {
    if (x.rows !== y.rows || x.cols !== y.cols) throw misfit(`${y.rows} x ${y.cols} for ${x.rows} x ${x.cols}`);
    return host.at(y);
  };

  return {
    normalize: (out, x, { kind, weight, bias, epsilon, size = weight.length }) =>
      withVectors([weight, bias], async ([weightAt, biasAt]) => {
        const weights = weight.length;
        if (x.cols % weights !== 0 || weights % size !== 0) throw misfit(`a norm of ${weights} for rows of ${x.cols}`);
        const vectors = { weight: weightAt!, bias: biasAt!, weights, epsilon, size, isRms: kind === 'rms' };
        await onRows({ operation: 'normalize', ...entries(x), out: same(x, out), ...vectors });
      }),

    activate: (x, f, factor) =>
      onRows({ operation: 'activate', ...entries(x), kind: ACTIVATIONS[f], factor: factor ? same(x, factor) : 0 }),

    rescale: (x, scale, cap) => onRows({ operation: 'rescale', ...entries(x), scale, cap: cap ?? 0 }),

    add: (x, y, scale) => onRows({ operation: 'add', ...entries(x), y: same(x, y), scale }),

    addToRows: (x, vector) =>
      withVectors([vector], async ([at]) => {
        if (vector.length !== x.cols) throw misfit(`${vector.length} entries for rows of ${x.cols}`);
        await onRows({ operation: 'addToRows', ...entries(x), vector: at! });
      }),

    async pick(out, x, { size, from, step }) {
      const last = from + (out.cols / size - 1) * step + size;
      if (out.rows !== x.rows || out.cols % size !== 0 || last > x.cols)
        throw misfit(`stretches up to column ${last} of ${x.cols} for ${out.rows} x ${out.cols}`);
      await onRows({ operation: 'pick', ...entries(x), out: host.at(out), outCols: out.cols, size, from, step });
    },

    rotate: (x, { row, rows, headSize, half, cosines, sines }) =>
      withVectors([cosines, sines], async ([cosinesAt, sinesAt]) => {
        if (row + rows > x.rows || x.cols % headSize !== 0 || 2 * half > headSize || cosines.length < rows * half)
          throw misfit(`rows ${row} to ${row + rows} of ${x.rows}, heads of ${headSize} in ${x.cols}`);
        const at = host.at(x) + row * x.cols * 4;
        const table = { cosines: cosinesAt!, sines: sinesAt!, headSize, half };
        await onRows({ operation: 'rotate', x: at, rows, cols: x.cols, ...table });
      }),

    async summarizeRows(logits, targets, reference) {
      if (targets.length !== logits.rows || targets.some((target) => target >= logits.cols))
        throw misfit(`targets of ${logits.rows} x ${logits.cols} logits`);
      const bytes = logits.rows * SUMMARY.size * 8;
      return host.withRoom(bytes, 'summaries', async (summaries) => {
        await withVectors([targets], async ([targetsAt]) => {
          const places = { reference: reference ? same(logits, reference) : 0, targets: targetsAt!, summaries };
          await onRows({ operation: 'summarize', ...entries(logits), ...places });
        });
        return new Float64Array(host.heap.bytes(summaries, bytes).slice().buffer);
      });
    },

    attend(out, { query, key, value }, { spans, signal, window, softCap, ...options }) {
      const { heads, keyHeads, headSize } = options;
      const fits = (matrix: Matrix, number: number, end: number) =>
        matrix.cols === number * headSize && end <= matrix.rows;
      for (const { row, rows, keyRow, keys } of spans)
        if (
          ![query, out].every((matrix) => fits(matrix, heads, row + rows)) ||
          ![key, value].every((matrix) => fits(matrix, keyHeads, keyRow + keys)) ||
          rows > keys
        )
          throw misfit(`${heads} and ${keyHeads} heads of ${headSize}, rows ${row} to ${row + rows} for ${keys} keys`);
      const place = (matrix: Matrix) => block(host.at(matrix), matrix.cols);
      const places = { query: place(query), key: place(key), value: place(value), out: place(out) };
      return host.withRoom(attendRoom(heads, keyHeads, headSize, host.threads), 'attention', async (room) => {
        const bounds = { window: window ?? ALL, cap: softCap ?? 0 };
        await host.run({ routine: 'attend', args: { ...places, ...options, ...bounds, spans, room } }, 'attention', {
          signal,
        });
      });
    },
  };
}

const misfit = (found: string) => new RankscopeError('wrong-use', 'cpu', `was asked for an operation on ${found}`);
