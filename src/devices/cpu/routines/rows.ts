import type { Activation } from '../../networkOperations.ts';
import { ADAM } from '../../plain/adam.ts';
import { SUMMARY } from '../../rowSummaries.ts';
import type { Kernels } from '../kernels.ts';
import { ranges, type Task, type Team } from '../team.ts';

/** The numbers of kernels/activate.ts. */
export const ACTIVATIONS: Readonly<Record<Activation, number>> = {
  silu: 0,
  gelu: 1,
  geluTanh: 2,
  quickGelu: 3,
  relu: 4,
  squaredRelu: 5,
};

/** Work on rows of activations; addresses in bytes, 0 for what is absent. */
export type RowArgs =
  | {
      readonly operation: 'normalize';
      readonly rows: number;
      readonly cols: number;
      readonly size: number;
      readonly isRms: boolean;
      readonly x: number;
      readonly out: number;
      readonly weight: number;
      /** Entries of the weights: some stretches of `size`. */
      readonly weights: number;
      readonly bias: number;
      readonly epsilon: number;
    }
  | (Entries & { readonly operation: 'activate'; readonly kind: number; readonly factor: number })
  | (Entries & {
      readonly operation: 'normalizeBack';
      readonly gradient: number;
      readonly size: number;
      readonly isLayer: boolean;
      readonly weight: number;
      readonly weights: number;
      readonly epsilon: number;
      /** For each task `weights` f32, or twice as many where there are biases. */
      readonly sums: number;
      readonly hasBias: boolean;
    })
  | (Entries & {
      readonly operation: 'activateBack';
      readonly kind: number;
      readonly gradient: number;
      readonly factor: number;
      readonly ofFactor: number;
    })
  | (Entries & {
      readonly operation: 'adam';
      readonly gradient: number;
      readonly first: number;
      readonly second: number;
      readonly size: number;
      readonly root: number;
      /** An f64 for each task: the sum of squares of its part of the gradient. */
      readonly sums: number;
    })
  | (Entries & { readonly operation: 'rescale'; readonly scale: number; readonly cap: number })
  | (Entries & { readonly operation: 'add'; readonly y: number; readonly scale: number })
  | (Entries & { readonly operation: 'addToRows'; readonly vector: number })
  | (Entries & {
      readonly operation: 'pick' | 'place';
      readonly out: number;
      readonly outCols: number;
      readonly size: number;
      readonly from: number;
      readonly step: number;
    })
  | (Entries & {
      readonly operation: 'rotate';
      readonly headSize: number;
      readonly half: number;
      readonly cosines: number;
      readonly sines: number;
    })
  | (Entries & {
      readonly operation: 'summarize';
      readonly reference: number;
      readonly targets: number;
      /** SUMMARY.size f64 for each row. */
      readonly summaries: number;
    });

interface Entries {
  readonly rows: number;
  readonly cols: number;
  readonly x: number;
}

/** Entries per task: some 0.1 ms. */
const TASK = 2 ** 16;

/** Works on all threads. */
export function onRows(team: Team, args: RowArgs): void {
  team.perform(rowTasks(team.kernels, args));
}

/** Works on the calling thread. */
export function onRowsHere(kernels: Kernels, args: RowArgs): void {
  for (const task of rowTasks(kernels, args)) task();
}

function rowTasks(kernels: Kernels, args: RowArgs): Task[] {
  const { rows, cols } = args;
  return taskRows(rows, cols).map(
    ({ from, to }, task) =>
      () =>
        perform(kernels, args, from, to - from, task),
  );
}

/** The rows of each task. */
export function taskRows(rows: number, cols: number): { from: number; to: number }[] {
  return ranges(rows, TASK / Math.max(1, cols));
}

/** Works on `rows` rows from `row` on. */
function perform(kernels: Kernels, args: RowArgs, row: number, rows: number, task: number): void {
  const { cols } = args;
  const entries = rows * cols;
  const ofRow = (address: number, width = cols) => (address === 0 ? 0 : address + row * width * 4);
  const x = ofRow(args.x);
  switch (args.operation) {
    case 'normalize': {
      const { size, weights, isRms, weight, bias, epsilon } = args;
      const out = ofRow(args.out);
      // The kernels have the same weights for every stretch.
      const count = weights === size ? entries / size : 1;
      for (let at = 0; at < entries; at += count * size) {
        const [from, to, first] = [x + at * 4, out + at * 4, (at % weights) * 4];
        if (isRms) kernels.rmsNorm(count, size, from, to, weight + first, epsilon);
        else kernels.layerNorm(count, size, from, to, weight + first, bias && bias + first, epsilon);
      }
      return;
    }
    case 'activate':
      kernels.activate(args.kind, entries, x, ofRow(args.factor));
      return;
    case 'normalizeBack': {
      const { size, weights, isLayer, weight, epsilon, sums, hasBias } = args;
      const gradient = ofRow(args.gradient);
      const ofWeight = sums + task * weights * (hasBias ? 8 : 4);
      const ofBias = hasBias ? ofWeight + weights * 4 : 0;
      kernels.clear(1, hasBias ? 2 * weights : weights, ofWeight, weights);
      const count = weights === size ? entries / size : 1;
      for (let at = 0; at < entries; at += count * size) {
        const [from, own, first] = [x + at * 4, gradient + at * 4, (at % weights) * 4];
        const places = [ofWeight + first, ofBias && ofBias + first] as const;
        kernels.normBack(count, size, +isLayer, from, own, weight + first, epsilon, ...places);
      }
      return;
    }
    case 'activateBack':
      kernels.activateBack(args.kind, entries, x, ofRow(args.gradient), ofRow(args.factor), ofRow(args.ofFactor));
      return;
    case 'adam': {
      const [gradient, first, second] = [ofRow(args.gradient), ofRow(args.first), ofRow(args.second)];
      const { keptOfFirst, keptOfSecond, epsilon } = ADAM;
      const { size, root, sums } = args;
      const decay = [keptOfFirst, keptOfSecond] as const;
      kernels.adam(entries, x, gradient, first, second, ...decay, size, root, epsilon, sums + task * 8);
      return;
    }
    case 'rescale':
      kernels.rescale(entries, x, args.scale, args.cap);
      return;
    case 'add':
      kernels.addScaled(entries, x, ofRow(args.y), args.scale);
      return;
    case 'addToRows':
      for (let i = 0; i < rows; i++) kernels.addScaled(cols, x + i * cols * 4, args.vector, 1);
      return;
    case 'pick': {
      const { out, outCols, size, from, step } = args;
      kernels.pick(rows, cols, outCols, x, ofRow(out, outCols), size, from, step);
      return;
    }
    case 'place': {
      const { out, outCols, size, from, step } = args;
      kernels.place(rows, cols, outCols, x, ofRow(out, outCols), size, from, step);
      return;
    }
    case 'rotate': {
      const { headSize, half, cosines, sines } = args;
      kernels.rotateRows(rows, cols, headSize, half, x, ofRow(cosines, half), ofRow(sines, half));
      return;
    }
    case 'summarize': {
      const { reference, targets, summaries } = args;
      kernels.summarizeRows(rows, cols, x, ofRow(reference), targets + row * 4, summaries + row * SUMMARY.size * 8);
      return;
    }
  }
}
