import type { ComparedAdapter, ComparedLayer, ModuleRanks, RanksAcross } from './comparison.ts';

/** The share of updates that a rank must serve to be called the usual one. */
const MOST = 0.9;
/** Up to this multiple of the usual rank, one rank for all wastes little. */
const NEAR = 1.5;
/** Places that a sentence names at most. */
const NAMED = 4;

/** Sums up the layers of a comparison by module. */
export function ranksAcross(
  adapters: readonly Pick<ComparedAdapter, 'label'>[],
  layers: readonly ComparedLayer[],
): RanksAcross {
  const byModule = new Map<string, ComparedLayer[]>();
  for (const layer of layers) byModule.set(layer.module, [...(byModule.get(layer.module) ?? []), layer]);
  const modules = [...byModule].map(([module, own]): ModuleRanks => {
    const of = (index: number) => own.flatMap(({ updates }) => updates[index] ?? []).filter(({ dead }) => !dead);
    return {
      module,
      effective: adapters.map((_, index) => mean(of(index).map(({ effectiveRank }) => effectiveRank))),
      utilised: adapters.map((_, index) => greatest(of(index).map(({ utilisedRank }) => utilisedRank))),
      merged: mergedOver(own),
    };
  });
  const merged = mergedOver(layers);
  const needs = layers.flatMap(({ module, updates }) =>
    updates.flatMap((update, adapter) =>
      update && !update.dead ? [{ module, adapter, rank: update.utilisedRank }] : [],
    ),
  );
  const ordered = needs.map(({ rank }) => rank).sort((a, b) => a - b);
  const rank =
    ordered.length > 0 ? { all: ordered.at(-1)!, most: ordered[Math.ceil(MOST * ordered.length) - 1]! } : null;
  return {
    modules,
    merged: merged && { ...merged, largest: Math.max(...layers.map((layer) => layer.merged?.rank ?? 0)) },
    rank,
    sentence: sentenceOf(adapters, needs, rank),
  };
}

function sentenceOf(
  adapters: readonly Pick<ComparedAdapter, 'label'>[],
  needs: readonly { readonly module: string; readonly adapter: number; readonly rank: number }[],
  rank: RanksAcross['rank'],
): string {
  if (!rank) return 'All updates are zero.';
  const { all, most } = rank;
  if (all <= Math.max(NEAR * most, most + 1))
    return `Rank ${all} serves all ${adapters.length} adapters: it holds 99 % of the energy of every update.`;
  const places = new Map<string, number>();
  for (const each of needs) {
    if (each.rank <= most) continue;
    const place = `${each.module} of ${adapters[each.adapter]?.label}`;
    places.set(place, Math.max(places.get(place) ?? 0, each.rank));
  }
  const worst = [...places].sort(([, a], [, b]) => b - a);
  const named = worst.slice(0, NAMED).map(([place, need]) => `${place} (${need})`);
  const others = worst.length > NAMED ? ` and ${worst.length - NAMED} more` : '';
  return `No one rank serves all ${adapters.length} adapters well: rank ${most} holds 99 % of the energy of nine in ten updates, but up to ${all} are needed in ${named.join(', ')}${others}.`;
}

function mergedOver(layers: readonly ComparedLayer[]): ModuleRanks['merged'] {
  const sums = layers.flatMap(({ merged }) => merged ?? []);
  if (sums.length === 0) return null;
  return {
    rank: sums.reduce((total, { rank }) => total + rank, 0),
    concatenated: sums.reduce((total, { concatenated }) => total + concatenated, 0),
  };
}

const mean = (values: readonly number[]) =>
  values.length > 0 ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
const greatest = (values: readonly number[]) => (values.length > 0 ? Math.max(...values) : null);
