import { concernsOneMatrix, RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import type {
  AdapterComparison,
  ComparedAdapter,
  ComparedLayer,
  ComparedPair,
  ComparedUpdate,
  ComparisonSkipped,
} from '../../model/comparison.ts';
import { byLayer } from '../../model/matrix.ts';
import { placeOf } from '../../model/place.ts';
import { ranksAcross } from '../../model/ranksAcross.ts';
import type { RefusedUpdate, Update } from '../update.ts';
import type { UpdateMatrix } from '../updateMatrix.ts';
import { updateFactors } from '../updateRows.ts';
import { compareUpdates, type FactoredUpdate, type UpdatesComparison } from './compareUpdates.ts';
import { adapterLabels, comparisonRemarks } from './texts.ts';
import { ComparisonTotals } from './totals.ts';

/** Every pair is compared: a few hundred layers of this many take minutes. */
const MOST_ADAPTERS = 64;
/** Columns of all factors of one layer side by side; the work grows with the square. */
const MOST_COLUMNS = 512;

/** One adapter of a file, with the layers that it adapts. */
export interface ComparableAdapter {
  readonly path: string;
  /** Its name if the file holds several. */
  readonly name: string | null;
  /** How its library names its tensors. */
  readonly naming: string;
  /** The model it was trained on, if stated anywhere. */
  readonly base: string | null;
  readonly matrices: readonly UpdateMatrix[];
  readonly refused: readonly RefusedUpdate[];
  /** Doubts about its scales, one sentence each. */
  readonly remarks: readonly string[];
}

/**
 * Compares adapters of one base, layer by layer, from their factors alone: what each adds, how similar any two are, and
 * what rank their sum needs.
 * @throws RankscopeError 'wrong-use' for fewer than two adapters or too many.
 */
export async function compareAdapters(
  sources: readonly ComparableAdapter[],
  {
    signal,
    progress,
  }: {
    readonly signal?: AbortSignal | undefined;
    readonly progress?: ((done: number, total: number, layer: string) => void) | undefined;
  },
): Promise<AdapterComparison> {
  refuseCount(sources);
  const labels = adapterLabels(sources);
  const skipped: ComparisonSkipped[] = sources.flatMap(({ refused }, index) =>
    refused.map(({ target, reason }) => ({ adapter: index, name: target, reason })),
  );
  const totals = new ComparisonTotals(sources.length);
  const layers: ComparedLayer[] = [];
  const places = layersOf(sources);
  for (const [first, matrices] of places) {
    progress?.(layers.length, places.size, first.update.target);
    layers.push(await compareLayer(first, matrices, sources, { signal, skipped, totals }));
  }
  const adapters = sources.map(
    ({ path, name, naming, base, matrices }, index): ComparedAdapter => ({
      path,
      name,
      label: labels[index]!,
      naming,
      base,
      layers: matrices.length,
      norm: Math.sqrt(totals.squares[index]!),
      dead: layers.filter(({ updates }) => updates[index]?.dead).length,
    }),
  );
  const notes = [...new Set(sources.flatMap(({ remarks }) => remarks))];
  return {
    format: 'rankscope.comparison/1',
    adapters,
    remarks: [...comparisonRemarks(adapters, layers), ...notes],
    layers,
    pairs: totals.pairs(),
    across: ranksAcross(adapters, layers),
    skipped,
  };
}

function refuseCount(sources: readonly ComparableAdapter[]): void {
  if (sources.length >= 2 && sources.length <= MOST_ADAPTERS) return;
  throw new RankscopeError(
    'wrong-use',
    sources[0]?.path ?? 'adapters',
    sources.length < 2
      ? 'it is the only adapter'
      : `${sources.length} adapters are more than the supported ${MOST_ADAPTERS}`,
    'Name two or more adapters of one base',
  );
}

/** The layers that any adapter changes: by the first matrix found for the layer, the matrices of all adapters. */
function layersOf(sources: readonly ComparableAdapter[]): Map<UpdateMatrix, (UpdateMatrix | null)[]> {
  const byKey = new Map<string, (UpdateMatrix | null)[]>();
  for (const [index, { matrices }] of sources.entries())
    for (const matrix of matrices) {
      const key = layerKey(matrix.update.target);
      const all = byKey.get(key) ?? sources.map(() => null);
      all[index] ??= matrix;
      byKey.set(key, all);
    }
  const byFirst = new Map([...byKey.values()].map((all) => [all.find((matrix) => matrix !== null)!, all]));
  return new Map(
    byLayer([...byFirst.keys()]).map((first) => [first as UpdateMatrix, byFirst.get(first as UpdateMatrix)!]),
  );
}

/** kohya writes `te1_text_model_encoder_layers_0` where diffusers has `text_encoder.text_model.encoder.layers.0`. */
function layerKey(target: string): string {
  return target
    .replaceAll('.', '_')
    .replace(/^te1?_/, 'text_encoder_')
    .replace(/^te2_/, 'text_encoder_2_');
}

interface LayerContext {
  readonly signal: AbortSignal | undefined;
  readonly skipped: ComparisonSkipped[];
  readonly totals: ComparisonTotals;
}

async function compareLayer(
  first: UpdateMatrix,
  matrices: readonly (UpdateMatrix | null)[],
  sources: readonly ComparableAdapter[],
  { signal, skipped, totals }: LayerContext,
): Promise<ComparedLayer> {
  const updates: (ComparedUpdate | null)[] = sources.map(() => null);
  const pairs: ComparedPair[] = [];
  let merged: ComparedLayer['merged'] = null;
  const groups = await loadGroups(matrices, signal, skipped);
  const remarks =
    groups.length > 1 ? [`its shapes differ: ${groups.map(({ shape }) => shape.join(' x ')).join(', ')}`] : [];
  for (const { members } of groups) {
    const columns = members.reduce((sum, { factors }) => sum + factors.rank, 0);
    const together = columns <= MOST_COLUMNS;
    if (!together)
      remarks.push(`its ranks add up to ${columns}: adapters are compared in pairs, and their sum is left out`);
    for (const part of together ? [members] : inTwos(members)) {
      throwIfCancelled(signal, first.name);
      const found = await compareUpdates(
        first.update.target,
        part.map(({ factors }) => factors),
        signal,
      );
      for (const [place, { index, matrix }] of part.entries()) {
        if (updates[index]) continue;
        updates[index] = updateFinding(matrix, found, place);
        totals.add(index, updates[index].norm);
      }
      for (const pair of found.pairs) {
        const named = { first: part[pair.first]!.index, second: part[pair.second]!.index };
        totals.addPair({ ...pair, ...named });
        const { cosine, overlapLeft, overlapRight } = pair;
        pairs.push({ ...named, cosine, overlapLeft, overlapRight });
      }
      if (groups.length === 1 && together && part.length > 1) merged = { ...found.sum, concatenated: columns };
    }
  }
  return {
    name: first.update.target,
    ...placeOf(first),
    updates,
    pairs,
    merged,
    ...(remarks.length > 0 ? { remark: remarks.join('; ') } : {}),
  };
}

/** Each member alone, and every pair whose ranks together are within the bound. */
function inTwos(members: readonly Member[]): Member[][] {
  const pairs = members.flatMap((one, place) => members.slice(place + 1).map((other) => [one, other]));
  const few = pairs.filter((pair) => pair.reduce((sum, { factors }) => sum + factors.rank, 0) <= MOST_COLUMNS);
  return [...members.map((member) => [member]), ...few];
}

interface Member {
  readonly index: number;
  readonly matrix: UpdateMatrix;
  readonly factors: FactoredUpdate;
}

/** The factors of each adapter that changes a layer, grouped by shape. */
async function loadGroups(
  matrices: readonly (UpdateMatrix | null)[],
  signal: AbortSignal | undefined,
  skipped: ComparisonSkipped[],
): Promise<{ shape: readonly [number, number]; members: Member[] }[]> {
  const groups = new Map<string, { shape: readonly [number, number]; members: Member[] }>();
  for (const [index, matrix] of matrices.entries()) {
    if (!matrix) continue;
    const { update } = matrix;
    try {
      refuseRank(update);
      const factors = await updateFactors(update.target, update, signal);
      const group = groups.get(String(update.shape)) ?? { shape: update.shape, members: [] };
      group.members.push({ index, matrix, factors });
      groups.set(String(update.shape), group);
    } catch (error) {
      if (!concernsOneMatrix(error)) throw error;
      skipped.push({ adapter: index, name: update.target, reason: error.found });
    }
  }
  return [...groups.values()];
}

function refuseRank({ target, rank }: Update): void {
  if (rank <= MOST_COLUMNS) return;
  const found = `its rank ${rank} exceeds the supported ${MOST_COLUMNS}`;
  throw new RankscopeError('too-large', target, found, 'Show its spectrum with: rankscope analyze');
}

function updateFinding({ name, update }: UpdateMatrix, { measures }: UpdatesComparison, place: number): ComparedUpdate {
  const measured = measures[place]!;
  const { shape, rank, scale, dora } = update;
  return { matrix: name, shape, rank, scale, ...measured, dead: measured.norm === 0, ...(dora ? { dora } : {}) };
}
