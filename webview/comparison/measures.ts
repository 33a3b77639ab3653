import type { AdapterComparison, ComparedLayer, ComparedPair, ComparedUpdate } from '../../src/model/comparison.ts';
import { formatPercent, formatValue, NONE } from '../ui/format.ts';

/** One thing that a comparison says of each layer: of every adapter, or of every two of them. */
export interface ComparisonMeasure {
  readonly id: string;
  readonly label: string;
  readonly explanation: string;
  readonly of: 'adapter' | 'pair';
  /** The ends of the colour scale; left out where it goes from zero to the highest value there is. */
  readonly domain?: readonly [number, number];
  readonly value: (layer: ComparedLayer, column: number) => number | null;
  readonly text: (layer: ComparedLayer, column: number) => string;
}

/** A column of the table of layers: an adapter, or two. */
export interface ComparisonColumn {
  readonly head: string;
  readonly value: (layer: ComparedLayer) => number | null;
  readonly text: (layer: ComparedLayer) => string;
  /** Place on the colour scale, 0 to 1; null where there is no value. */
  readonly share: (layer: ComparedLayer) => number | null;
}

export const COMPARISON_MEASURES: readonly ComparisonMeasure[] = [
  ofPairs(
    'cosine',
    'Cosine',
    'How far two updates point the same way, entry by entry: 1 the same, 0 at right angles, −1 against each other.',
    [-1, 1],
  ),
  ofPairs(
    'overlapLeft',
    'Output overlap',
    'How far the spaces that two updates write into lie in each other, for as many directions as hold 99 % of each one’s energy (Hu et al. 2021).',
    [0, 1],
  ),
  ofPairs(
    'overlapRight',
    'Input overlap',
    'How far the spaces that two updates read from lie in each other, for as many directions as hold 99 % of each one’s energy (Hu et al. 2021).',
    [0, 1],
  ),
  ofAdapters('norm', 'Norm of the update', 'Frobenius norm of scale · B A.', ({ norm }) => norm),
  ofAdapters(
    'utilisedRank',
    'Utilised rank',
    'The rank that holds 99 % of the update’s energy, of the rank that its factors allow.',
    ({ utilisedRank }) => utilisedRank,
    ({ utilisedRank, rank }) => `${utilisedRank} of ${rank}`,
  ),
  ofAdapters(
    'effectiveRank',
    'Effective rank',
    'exp of the entropy of the singular values.',
    ({ effectiveRank }) => effectiveRank,
  ),
  ofAdapters('scale', 'Scale', 'alpha / r, or alpha / √r with rsLoRA.', ({ scale }) => scale),
];

export function comparisonMeasure(id: string): ComparisonMeasure {
  return COMPARISON_MEASURES.find((measure) => measure.id === id) ?? COMPARISON_MEASURES[0]!;
}

/** The columns of the table of layers for one measure: every adapter, or every two. */
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

/** What the sum of all updates of a layer needs, of what keeping all of them takes. */
export function mergedText({ merged }: ComparedLayer): string {
  return merged ? `${merged.rank} of ${merged.concatenated}` : NONE;
}

/** −1 to 1 with two digits after the point, and no sign on what is zero. */
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
 * What the overlap of two spaces of these dimensions would be, were one of them turned by chance: the mean of ||U^T V||_F^2 / min(i, j) is
 * max(i, j) / size.
 */
export function chanceOverlap(one: number, other: number, size: number): number {
  return Math.min(1, Math.max(one, other) / size);
}

/** One line for each adapter that cannot be seen in a number. */
export function updateText(update: ComparedUpdate | null): string {
  if (!update) return 'not adapted';
  if (update.dead) return 'dead: a factor is all zero';
  return update.dora ? 'DoRA' : '';
}

export type PairMeasure = 'cosine' | 'overlapLeft' | 'overlapRight';

/** The pairs of a layer stand in the order of all pairs, some of them missing. */
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

/** The pair at a place in the order 0 1, 0 2 ... 1 2 ... */
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
