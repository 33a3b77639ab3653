import { RankscopeError } from '../../../base/errors.ts';
import { elementCount } from '../../../base/shape.ts';
import type { RowSource } from '../../../devices/backend.ts';
import { type Match, matchTensors } from '../../../model/diff/matchTensors.ts';
import type { StoredMatrix } from '../../../model/storedMatrix.ts';
import { stackedRows } from '../../../spectrum/stackedRows.ts';
import { selectionOf } from '../../diff/metaRows.ts';
import { orientedRows, vectorRows } from '../../diff/rows.ts';
import type { Item, Side } from '../../diff/sides.ts';

/** A tensor of the base beside what the tuned model has in its place, in [out, in] terms if it is a matrix. */
export interface ModelPair {
  readonly base: Item;
  /** Several if the base fuses what the tuned model has apart. */
  readonly tuned: readonly Item[];
  readonly sources: readonly [base: RowSource, tuned: RowSource];
  /** How many rows more the tuned model has; fewer where negative. */
  readonly newRows: number;
}

/**
 * Pairs the tensors of two states of one model.
 * @throws RankscopeError 'wrong-use' for models that share no matrix, for a matrix that the tuned model lacks, and for
 *   one that has another shape there, unless it is a vocabulary
 */
export function modelPairs(base: Side, tuned: Side): { pairs: ModelPair[]; added: readonly Item[] } {
  const { matches, missing, added } = matchTensors(base.items, tuned.items);
  const [basePath, tunedPath] = [base, tuned].map(({ opened }) => opened.checkpoint.path) as [string, string];
  if (!matches.some((match) => match.base.matrix && match.other.matrix)) {
    const text = ({ opened: { anatomy }, items }: Side) =>
      `${anatomy.family ?? 'an unknown architecture'} with ${anatomy.layers} layers, such as ${items[0]?.name}`;
    const found = `none of its matrices is in ${basePath}: ${text(tuned)} against ${text(base)}`;
    throw new RankscopeError('wrong-use', tunedPath, found, 'Give the base that it was tuned from');
  }
  const lost = missing.filter(({ name, matrix }) => matrix && !base.repeated.has(name) && !isTiedHead(matrix, tuned));
  if (lost.length > 0) {
    const found = `it lacks ${lost.length} matrices of ${basePath}, such as ${lost[0]!.name}`;
    throw new RankscopeError('wrong-use', tunedPath, found, 'It may be half-written, or a part of a model');
  }
  const byBase = new Map<Item, Match<Item>[]>();
  for (const match of matches) byBase.set(match.base, [...(byBase.get(match.base) ?? []), match]);
  const pairs = [...byBase.values()].map((group) => pairOf(group, base, tuned));
  return { pairs, added: added.filter(({ name }) => !tuned.repeated.has(name)) };
}

/** A head may be left out of a file where it is the table of the embedding. */
function isTiedHead({ role }: StoredMatrix, { items }: Side): boolean {
  return role === 'head' && items.every(({ matrix }) => matrix?.role !== 'head');
}

function pairOf(group: readonly Match<Item>[], base: Side, tuned: Side): ModelPair {
  const [first] = group as [Match<Item>, ...Match<Item>[]];
  const { base: item, other } = first;
  const parts = group.toSorted((a, b) => (a.baseRows?.[0] ?? 0) - (b.baseRows?.[0] ?? 0));
  if (!item.matrix || parts.some((part) => !part.other.matrix)) {
    if (elementCount(item.shape) !== elementCount(other.shape)) throw otherShape(first, tuned);
    return {
      base: item,
      tuned: [other],
      sources: [vectorRows(item.tensor, item.shape), vectorRows(other.tensor, other.shape)],
      newRows: 0,
    };
  }
  const rowsOf = (each: Item, rows: readonly [number, number] | undefined) =>
    orientedRows(each.matrix!, selectionOf(base, tuned, each, rows));
  const one = rowsOf(item, undefined);
  const two = below(parts.map((part) => rowsOf(part.other, part.otherRows)));
  const { role } = item.matrix;
  const grown = two.rows - one.rows;
  const isTable = role === 'embedding' || role === 'head';
  if (one.cols !== two.cols || (grown !== 0 && !isTable)) throw otherShape(first, tuned);
  const rows = Math.min(one.rows, two.rows);
  return {
    base: item,
    tuned: parts.map((part) => part.other),
    sources: [
      { ...one, rows },
      { ...two, rows },
    ],
    newRows: grown,
  };
}

function otherShape({ base, other }: Match<Item>, tuned: Side): RankscopeError {
  const [one, two] = [base, other].map(({ shape }) => shape.join(' x '));
  const found = `its ${other.name} is ${two}, that of the base is ${one}`;
  const remedy = 'Give two states of one model';
  return new RankscopeError('wrong-use', tuned.opened.checkpoint.path, found, remedy);
}

/** Sources one below the other, under the name of the first. */
function below(sources: readonly RowSource[]): RowSource {
  const [first, ...others] = sources as [RowSource, ...RowSource[]];
  if (others.length === 0) return first;
  const parts = sources.map((source) => ({ source, scale: 1 }));
  return stackedRows(first.name, parts, false);
}
