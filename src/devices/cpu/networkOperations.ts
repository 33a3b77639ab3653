import { RankscopeError } from '../../base/errors.ts';
import type { Matrix, RoutineOptions } from '../backend.ts';
import type { AttentionInput, AttentionOptions, Columns, NetworkOperations } from '../networkOperations.ts';
import { corrections } from '../plain/adam.ts';
import { SUMMARY } from '../rowSummaries.ts';
import type { Work } from './job.ts';
import type { Kernels } from './kernels.ts';
import type { Heap } from './memory.ts';
import { attendRoom } from './routines/attend.ts';
import { attendBackRoom } from './routines/attendBack.ts';
import { block } from './routines/product.ts';
import { ACTIVATIONS, onRowsHere, type RowArgs, taskRows } from './routines/rows.ts';

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
  const withVectors = <Result>(
    vectors: readonly (Float32Array | Int32Array | undefined)[],
    use: (addresses: readonly number[]) => Promise<Result>,
  ): Promise<Result> => {
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
  const place = (matrix: Matrix) => block(host.at(matrix), matrix.cols);
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

    normalizeBack: (gradient, x, { kind, weight, bias, epsilon, size = weight.length }) =>
      withVectors([weight], async ([weightAt]) => {
        const weights = weight.length;
        if (x.cols % weights !== 0 || weights % size !== 0) throw misfit(`a norm of ${weights} for rows of ${x.cols}`);
        const hasBias = bias !== undefined;
        const count = hasBias ? 2 * weights : weights;
        const tasks = taskRows(x.rows, x.cols).length;
        return host.withRoom(tasks * count * 4, 'sums', async (sums) => {
          const places = { gradient: same(x, gradient), weight: weightAt!, weights, sums, hasBias };
          const isLayer = kind === 'layer';
          await onRows({ operation: 'normalizeBack', ...entries(x), ...places, epsilon, size, isLayer });
          const total = new Float64Array(count);
          for (let task = 0; task < tasks; task++) {
            const part = host.heap.floats(sums + task * count * 4, count);
            for (let i = 0; i < count; i++) total[i]! += part[i]!;
          }
          return { weight: total.subarray(0, weights), bias: hasBias ? total.subarray(weights) : undefined };
        });
      }),

    activateBack: (gradient, x, f, gate) => {
      const places = { gradient: same(x, gradient), factor: 0, ofFactor: 0 };
      if (gate) Object.assign(places, { factor: same(x, gate.factor), ofFactor: same(x, gate.gradient) });
      return onRows({ operation: 'activateBack', ...entries(x), kind: ACTIVATIONS[f], ...places });
    },

    adam: (x, gradient, { first, second }, step) => {
      const tasks = taskRows(x.rows, x.cols).length;
      return host.withRoom(tasks * 8, 'sums', async (sums) => {
        const places = { gradient: same(x, gradient), first: same(x, first), second: same(x, second), sums };
        await onRows({ operation: 'adam', ...entries(x), ...places, ...corrections(step) });
        return new Float64Array(host.heap.memory.buffer, sums, tasks).reduce((sum, part) => sum + part, 0);
      });
    },

    rescale: (x, scale, cap) => onRows({ operation: 'rescale', ...entries(x), scale, cap: cap ?? 0 }),

    add: (x, y, scale) => onRows({ operation: 'add', ...entries(x), y: same(x, y), scale }),

    addToRows: (x, vector) =>
      withVectors([vector], async ([at]) => {
        if (vector.length !== x.cols) throw misfit(`${vector.length} entries for rows of ${x.cols}`);
        await onRows({ operation: 'addToRows', ...entries(x), vector: at! });
      }),

    async pick(out, x, columns) {
      checkColumns(out, x, columns);
      await onRows({ operation: 'pick', ...entries(x), out: host.at(out), outCols: out.cols, ...columns });
    },

    async place(out, x, columns) {
      checkColumns(x, out, columns);
      await onRows({ operation: 'place', ...entries(x), out: host.at(out), outCols: out.cols, ...columns });
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
      checkHeads([query, out], [key, value], { ...options, spans });
      const places = { query: place(query), key: place(key), value: place(value), out: place(out) };
      return host.withRoom(attendRoom(heads, keyHeads, headSize, host.threads), 'attention', async (room) => {
        const bounds = { window: window ?? ALL, cap: softCap ?? 0 };
        await host.run({ routine: 'attend', args: { ...places, ...options, ...bounds, spans, room } }, 'attention', {
          signal,
        });
      });
    },

    attendBack(out, gradient, input, { spans, signal, window, softCap, ...options }) {
      checkHeads([input.query, out.query, gradient], [input.key, input.value, out.key, out.value], {
        ...options,
        spans,
      });
      const all = ({ query, key, value }: AttentionInput) => ({
        query: place(query),
        key: place(key),
        value: place(value),
      });
      const args = { ...all(input), gradient: place(gradient), out: all(out), ...options, spans };
      const bounds = { window: window ?? ALL, cap: softCap ?? 0 };
      return host.withRoom(attendBackRoom({ ...args, ...bounds }, host.threads), 'attention', async (room) => {
        await host.run({ routine: 'attendBack', args: { ...args, ...bounds, room } }, 'attention', { signal });
      });
    },
  };
}

/** @throws RankscopeError 'wrong-use' unless the stretches of x fill rows of `picked` and are in x */
function checkColumns(picked: Matrix, x: Matrix, { size, from, step }: Columns): void {
  const last = from + (picked.cols / size - 1) * step + size;
  if (picked.rows !== x.rows || picked.cols % size !== 0 || last > x.cols)
    throw misfit(`stretches up to column ${last} of ${x.cols} for ${picked.rows} x ${picked.cols}`);
}

/** @throws RankscopeError 'wrong-use' unless these matrices have all heads and rows that the spans name */
function checkHeads(
  ofQueries: readonly Matrix[],
  ofKeys: readonly Matrix[],
  { heads, keyHeads, headSize, spans }: Pick<AttentionOptions, 'heads' | 'keyHeads' | 'headSize' | 'spans'>,
): void {
  const fits = (matrix: Matrix, number: number, end: number) => matrix.cols === number * headSize && end <= matrix.rows;
  for (const { row, rows, keyRow, keys } of spans)
    if (
      !ofQueries.every((matrix) => fits(matrix, heads, row + rows)) ||
      !ofKeys.every((matrix) => fits(matrix, keyHeads, keyRow + keys)) ||
      rows > keys
    )
      throw misfit(`${heads} and ${keyHeads} heads of ${headSize}, rows ${row} to ${row + rows} for ${keys} keys`);
}

const misfit = (found: string) => new RankscopeError('wrong-use', 'cpu', `was asked for an operation on ${found}`);
