import type { AdapterComparison } from '../../src/model/comparison.ts';
import { csvText } from '../ui/csv.ts';
import { pairIn } from './measures.ts';

/** A comparison as comma-separated values: one line per layer, with columns for each adapter and each pair. */
export function comparisonCsv({ adapters, pairs, layers }: AdapterComparison): string {
  const head = [
    ...['layer', 'index', 'module'],
    ...adapters.flatMap(({ label }) =>
      ['norm', 'rank', 'utilisedRank', 'effectiveRank', 'scale', 'dead'].map((what) => `${what} ${label}`),
    ),
    ...pairs.flatMap(({ first, second }) =>
      ['cosine', 'overlapLeft', 'overlapRight'].map(
        (what) => `${what} ${adapters[first]?.label} / ${adapters[second]?.label}`,
      ),
    ),
    ...['mergedRank', 'mergedOf', 'mergedNorm'],
  ];
  const lines = layers.map((layer) => [
    ...[layer.name, layer.layer, layer.module],
    ...layer.updates.flatMap((update) =>
      update
        ? [update.norm, update.rank, update.utilisedRank, update.effectiveRank, update.scale, String(update.dead)]
        : Array<null>(6).fill(null),
    ),
    ...pairs.flatMap((places) => {
      const pair = pairIn(layer, places);
      return [pair?.cosine ?? null, pair?.overlapLeft ?? null, pair?.overlapRight ?? null];
    }),
    ...[layer.merged?.rank ?? null, layer.merged?.concatenated ?? null, layer.merged?.norm ?? null],
  ]);
  return csvText([head, ...lines]);
}
