import type { AdapterComparison, ComparedLayer, ComparedPair, ComparedUpdate } from '../../src/model/comparison.ts';
import { formatPercent, formatValue, NONE } from '../ui/format.ts';

/** A number that a comparison gives for each layer and each adapter, or each pair. */
export interface ComparisonMeasure {
  readonly id: string;
  readonly label: string;
  readonly explanation: string;
  readonly of: 'adapter' | 'pair';
  /** The ends of the colour scale; by default zero and the highest value. */
  readonly domain?: readonly [number, number];
  readonly value: (layer: ComparedLayer, column: number) => number | null;
  readonly text: (layer: ComparedLayer, column: number) => string;
}

/** A column of the layer table: an adapter or a pair. */
export interface ComparisonColumn {
  readonly head: string;
  readonly value: (layer: ComparedLayer) => number | null;
  readonly text: (layer: ComparedLayer) => string;
  /** Position on the colour scale, 0 to 1; null without a value. */
  readonly share: (layer: ComparedLayer) => number | null;
}

export const COMPARISON_MEASURES: readonly ComparisonMeasure[] = [
  ofPairs(
    'cosine',
    'Cosine',
    'The cosine of the angle between two updates: 1 for the same direction, 0 for orthogonal updates, −1 for opposite ones.',
    [-1, 1],
  ),
  ofPairs(
    'overlapLeft',
    'Output overlap',
    'How much the output spaces of two updates overlap, counting the directions that hold 99 % of the energy of each (Hu et al. 2021).',
    [0, 1],
  ),
  ofPairs(
    'overlapRight',
    'Input overlap',
    'How much the input spaces of two updates overlap, counting the directions that hold 99 % of the energy of each (Hu et al. 2021).',
    [0, 1],
  ),
  ofAdapters('norm', 'Norm of the update', 'The Frobenius norm of scale · B A.', ({ norm }) => norm),
  ofAdapters(
    'utilisedRank',
    'Utilised rank',
    'The rank that holds 99 % of the energy of the update, of the rank of its factors.',
    ({ utilisedRank }) => utilisedRank,
    ({ utilisedRank, rank }) => `${utilisedRank} of ${rank}`,
  ),
  ofAdapters(
    'effectiveRank',
    'Effective rank',
    'exp of the entropy of the normalized singular values (Roy and Vetterli 2007).',
    ({ effectiveRank }) => effectiveRank,
  ),
  ofAdapters('scale', 'Scale', 'alpha / r, or alpha / √r with rsLoRA.', ({ scale }) => scale),
];

export function comparisonMeasure(id: string): ComparisonMeasure {
  return COMPARISON_MEASURES.find((measure) => measure.id === id) ?? COMPARISON_MEASURES[0]!;
}

/** The columns of the layer table for one measure: every adapter, or every pair. */
export function columnsOf(
  { adapters, pairs, layers }: AdapterComparison,
  measure: ComparisonMeasure,
): ComparisonColumn[] {
  const heads =
    measure.of === 'adapter'
      ? adapters.map(({ label }) => label)
      : pairs.map(({ first, second }) => `${adapters[first]?.label} · ${adapters[second]?.label}`);
  const [low, high] = measure.domain ?? [0, highest(layers, heads.length, measure)];
  return heads.map((head, column) => ({
    head,
    value: (layer) => measure.value(layer, column),
    text: (layer) => measure.text(layer, column),
    share(layer) {
      const value = measure.value(layer, column);
      return value === null || high <= low ? null : Math.min(1, Math.max(0, (value - low) / (high - low)));
    },
  }));
}

/** The rank of the sum of a layer's updates, of the rank of their concatenation. */
export function mergedText({ merged }: ComparedLayer): string {
  return merged ? `${merged.rank} of ${merged.concatenated}` : NONE;
}

/** −1 to 1 with two decimals, and zero without a sign. */
export function formatCosine(value: number | null): string {
  return value === null
    ? NONE
    : value
        .toFixed(2)
        .replace(/^-(0\.00)$/, '$1')
        .replace('-', '−');
}

export function formatOverlap(value: number | null): string {
  return value === null ? NONE : formatPercent(value);
}

export const pairText = (id: PairMeasure, pair: ComparedPair | undefined): string =>
  id === 'cosine' ? formatCosine(pair?.cosine ?? null) : formatOverlap(pair?.[id] ?? null);

/**
 * The expected overlap of two random subspaces of dimensions i and j: the mean of ||U^T V||_F^2 / min(i, j) is max(i,
 * j) / size.
 */
export function chanceOverlap(one: number, other: number, size: number): number {
  return Math.min(1, Math.max(one, other) / size);
}

/** What the numbers of an update do not show. */
export function updateText(update: ComparedUpdate | null): string {
  if (!update) return 'not adapted';
  if (update.dead) return 'dead: a factor is all zero';
  return update.dora ? 'DoRA' : '';
}

export type PairMeasure = 'cosine' | 'overlapLeft' | 'overlapRight';

/** A layer's own comparison of a pair, which it may lack. */
export function pairIn(layer: ComparedLayer, { first, second }: Pick<ComparedPair, 'first' | 'second'>) {
  return layer.pairs.find((pair) => pair.first === first && pair.second === second);
}

function ofPairs(
  id: PairMeasure,
  label: string,
  explanation: string,
  domain: readonly [number, number],
): ComparisonMeasure {
  const places = (layer: ComparedLayer, column: number) => pairIn(layer, pairAt(layer.updates.length, column));
  return {
    id,
    label,
    explanation,
    of: 'pair',
    domain,
    value: (layer, column) => places(layer, column)?.[id] ?? null,
    text: (layer, column) => pairText(id, places(layer, column)),
  };
}

function ofAdapters(
  id: string,
  label: string,
  explanation: string,
  value: (update: ComparedUpdate) => number,
  text: (update: ComparedUpdate) => string = (update) => formatValue(value(update)),
): ComparisonMeasure {
  return {
    id,
    label,
    explanation,
    of: 'adapter',
    value(layer, column) {
      const update = layer.updates[column];
      return update && !update.dead ? value(update) : null;
    },
    text(layer, column) {
      const update = layer.updates[column];
      return update ? (update.dead ? 'dead' : text(update)) : NONE;
    },
  };
}

/** The pair at a position in the order 0 1, 0 2 ... 1 2 ... */
function pairAt(count: number, place: number): { first: number; second: number } {
  let first = 0;
  let rest = place;
  while (rest >= count - 1 - first) rest -= count - 1 - first++;
  return { first, second: first + 1 + rest };
}

function highest(layers: readonly ComparedLayer[], columns: number, measure: ComparisonMeasure): number {
  let most = 0;
  for (const layer of layers)
    for (let column = 0; column < columns; column++) most = Math.max(most, measure.value(layer, column) ?? 0);
  return most;
}
