import { RankscopeError } from '../base/errors.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { StoredMatrix } from '../model/storedMatrix.ts';
import { inputFactor } from './inputFactor.ts';
import { byHuggingFaceNames, huggingFaceNames, type Slice } from './llamaNames.ts';
import type { InputFactor, Statistics, StatisticsEntry } from './statistics.ts';

/**
 * The statistics of each matrix of a checkpoint, by the matrix's name; of matrices that no layer multiplies its inputs
 * with, there are none.
 * @throws RankscopeError 'wrong-use' with the differences for statistics of another model
 */
export function matchStatistics(
  statistics: Statistics,
  checkpoint: Checkpoint,
  matrices: readonly StoredMatrix[],
): Map<string, InputFactor> {
  const named = namedMatrices(statistics, checkpoint, matrices);
  const slices = slicesByName(statistics, (name) => named.has(name));
  const factors = new Map<string, InputFactor>();
  const differences: string[] = [];
  const counts = new Map<StatisticsEntry, number>();
  for (const { entry } of slices.values()) counts.set(entry, (counts.get(entry) ?? 0) + 1);
  const shift = shiftBetween(slices, named);
  for (const [name, slice] of slices) {
    const matrix = named.get(shift(name)) ?? named.get(name) ?? tiedHead(name, slice, matrices);
    const difference = matrix ? misfit(slice, matrix, counts.get(slice.entry)!) : 'is not in it';
    if (difference === undefined) factors.set(matrix!.name, inputFactor(statistics, slice, matrix!.shape[1]));
    else differences.push(`${name} ${difference}`);
  }
  differences.push(...layersWithout(factors, matrices, checkpoint));
  if (differences.length === 0) return factors;
  const { path, model } = statistics.summary;
  const more = differences.length > 3 ? `; and ${differences.length - 3} more` : '';
  throw new RankscopeError(
    'wrong-use',
    path,
    `these are statistics of another model${model === null ? '' : ` (${model})`} than ${checkpoint.path}: ` +
      differences.slice(0, 3).join('; ') +
      more,
    'Collect them anew with: rankscope calibrate',
  );
}

/** The matrices by the names that the statistics use. */
function namedMatrices(
  { naming }: Statistics,
  { format, metadata }: Checkpoint,
  matrices: readonly StoredMatrix[],
): Map<string, StoredMatrix> {
  const rename = naming === 'transformers' && format === 'gguf' ? huggingFaceNames(metadata, matrices) : undefined;
  return new Map(matrices.map((matrix) => [rename?.(matrix.name) ?? matrix.name, matrix]));
}

/** What the statistics hold, by the names of matrices: llama.cpp keeps a stack of experts together. */
function slicesByName({ naming, entries }: Statistics, isMatrix: (name: string) => boolean): Map<string, Slice> {
  const slices = new Map<string, Slice>();
  if (naming === 'llama.cpp' && !entries.some(({ name }) => isMatrix(name) || isMatrix(`${name}[0]`)))
    return byHuggingFaceNames(entries, isMatrix);
  for (const entry of entries) {
    if (naming === 'transformers' || !isMatrix(`${entry.name}[0]`)) slices.set(entry.name, { entry, slice: 0 });
    else
      for (let slice = 0; isMatrix(`${entry.name}[${slice}]`); slice++)
        slices.set(`${entry.name}[${slice}]`, { entry, slice });
  }
  return slices;
}

/**
 * Turns names of the statistics into those of the checkpoint: one of the two may lack the path of the base model, as
 * `h.0.attn.c_attn.weight` and `transformer.h.0.attn.c_attn.weight`.
 */
function shiftBetween(
  slices: ReadonlyMap<string, Slice>,
  named: ReadonlyMap<string, StoredMatrix>,
): (name: string) => string {
  const inLayers = [...slices.keys()].filter((name) => /\.\d+\./.test(name));
  if (inLayers.some((name) => named.has(name))) return (name) => name;
  const [first] = inLayers;
  if (first === undefined) return (name) => name;
  for (const name of named.keys()) {
    if (name.endsWith(`.${first}`)) return (own) => name.slice(0, -first.length) + own;
    if (!first.endsWith(`.${name}`)) continue;
    const path = first.slice(0, -name.length);
    return (own) => (own.startsWith(path) ? own.slice(path.length) : own);
  }
  return (name) => name;
}

const HEAD = /(^|\.)(lm_head|embed_out|output)\.weight$/;

/** A head that the checkpoint lacks uses the matrix of the embedding. */
function tiedHead(name: string, { entry }: Slice, matrices: readonly StoredMatrix[]): StoredMatrix | undefined {
  if (!HEAD.test(name) || matrices.some(({ role }) => role === 'head')) return undefined;
  return matrices.find(
    ({ role, shape }) =>
      role === 'embedding' &&
      (entry.shape ? entry.shape.every((size, axis) => size === shape[axis]) : entry.length === shape[1]),
  );
}

/**
 * In what the statistics contradict the matrix; undefined if they fit.
 * @param slices into which the entry is divided
 */
function misfit({ entry }: Slice, { shape }: StoredMatrix, slices: number): string | undefined {
  if (entry.shape) {
    if (entry.shape.every((size, axis) => size === shape[axis])) return undefined;
    return `is ${shape.join(' x ')} there and ${entry.shape.join(' x ')} in the statistics`;
  }
  if (entry.length === shape[1] * slices) return undefined;
  return `has ${shape[1] * slices} inputs there and ${entry.length} in the statistics`;
}

/** Layers of the stacks that the statistics are about, of which they say nothing. */
function layersWithout(
  factors: ReadonlyMap<string, InputFactor>,
  matrices: readonly StoredMatrix[],
  { configuration }: Checkpoint,
): string[] {
  const place = ({ stack, layer }: StoredMatrix) => `${stack ?? ''} ${layer}`;
  const inLayers = matrices.filter(({ layer }) => layer !== null);
  const covered = inLayers.filter(({ name }) => factors.has(name));
  const stacks = new Set(covered.map(({ stack }) => stack));
  const known = new Set(covered.map(place));
  // Layers beyond those of the configuration predict further tokens in training, and do not run.
  const count = Number(configuration?.num_hidden_layers ?? Number.POSITIVE_INFINITY);
  const missing = inLayers.filter(
    (matrix) => stacks.has(matrix.stack) && !known.has(place(matrix)) && !(matrix.layer! >= count),
  );
  const numbers = [...new Set(missing.map(({ layer }) => layer!))];
  if (covered.length === 0) return ['no layer of it has statistics'];
  return numbers.length === 0 ? [] : [`its layers ${listed(numbers)} have no statistics`];
}

function listed(numbers: readonly number[]): string {
  return numbers.slice(0, 4).join(', ') + (numbers.length > 4 ? ' ...' : '');
}
