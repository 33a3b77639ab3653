import { type ErrorCode, RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { type AdapterUpdate, updateOf } from '../../model/adapters.ts';
import type {
  AdapterComparison,
  ComparedAdapter,
  ComparedLayer,
  ComparedPair,
  ComparedUpdate,
  ComparisonSkipped,
} from '../../model/comparison.ts';
import type { MatrixRef } from '../../model/names/anatomy.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { compareUpdates, type FactoredUpdate, type UpdatesComparison } from '../../spectrum/compareUpdates.ts';
import { updateFactors } from '../analysis/updateRows.ts';
import { byLayer } from '../analysis/workList.ts';
import { type OpenCheckpoints, type Opened, refuseChanged } from '../checkpoints/opened.ts';
import { adapterLabels, comparisonRemarks } from './compareTexts.ts';
import { ComparisonTotals } from './compareTotals.ts';

/** Every pair is compared: some hundred layers of so many take minutes. */
const MOST_ADAPTERS = 64;
/** Columns of all factors of one layer side by side; the work grows with the square. */
const MOST_COLUMNS = 512;
/** What is wrong with one layer of one adapter alone: the rest goes on. */
const SKIPPABLE: ReadonlySet<ErrorCode> = new Set(['not-finite', 'too-large', 'unsupported', 'malformed']);

/**
 * Compares adapters of one base, layer by layer, from their factors alone: what each adds, how far two of them go the same way, and what rank
 * their sum needs. A file may hold several adapters.
 * @throws RankscopeError 'wrong-use' where a file holds no adapter, or there is but one in all.
 */
export function compareAdapters(
  checkpoints: OpenCheckpoints,
  paths: readonly string[],
  context: CallContext<StepProgress>,
): Promise<AdapterComparison> {
  const opened: Opened[] = [];
  const openNext = (): Promise<AdapterComparison> => {
    const path = paths[opened.length];
    if (path === undefined) return compare(opened, paths, context);
    return checkpoints.use(path, context.signal, (next) => {
      opened.push(next);
      return openNext();
    });
  };
  return openNext();
}

/** One adapter, and where its layers are. */
interface Source {
  readonly path: string;
  readonly name: string | null;
  readonly opened: Opened;
  readonly matrices: readonly Adapted[];
}

type Adapted = MatrixRef & { readonly update: AdapterUpdate };

async function compare(
  opened: readonly Opened[],
  paths: readonly string[],
  { signal, progress }: CallContext<StepProgress>,
): Promise<AdapterComparison> {
  const sources = opened.flatMap((each, index) => adaptersIn(each, paths[index]!));
  refuseCount(sources);
  const labels = adapterLabels(sources);
  const skipped: ComparisonSkipped[] = sources.flatMap(({ opened: { adapter } }, index) =>
    adapter.refused.map(({ target, reason }) => ({ adapter: index, name: target, reason })),
  );
  const totals = new ComparisonTotals(sources.length);
  const layers: ComparedLayer[] = [];
  const places = layersOf(sources);
  for (const [first, matrices] of places) {
    progress?.({ done: layers.length, total: places.size, message: first.update.target });
    layers.push(await compareLayer(first, matrices, sources, { signal, skipped, totals }));
  }
  for (const { checkpoint } of opened) await refuseChanged(checkpoint);
  const adapters = sources.map(
    ({ path, name, matrices, opened: { adapter } }, index): ComparedAdapter => ({
      path,
      name,
      label: labels[index]!,
      naming: adapter.naming,
      base: adapter.bases.get(name ?? undefined) ?? null,
      layers: matrices.length,
      norm: Math.sqrt(totals.squares[index]!),
      dead: layers.filter(({ updates }) => updates[index]?.dead).length,
    }),
  );
  const notes = [...new Set(opened.flatMap(({ adapter }) => adapter.remarks))];
  return {
    format: 'rankscope.comparison/1',
    adapters,
    remarks: [...comparisonRemarks(adapters, layers), ...notes],
    layers,
    pairs: totals.pairs(),
    skipped,
  };
}

function adaptersIn(opened: Opened, path: string): Source[] {
  const byName = new Map<string | undefined, Adapted[]>();
  for (const matrix of opened.anatomy.matrices) {
    const update = updateOf(matrix.tensor);
    if (!update) continue;
    const matrices = byName.get(update.adapter) ?? [];
    matrices.push({ ...matrix, update });
    byName.set(update.adapter, matrices);
  }
  if (byName.size > 0) return [...byName].map(([name, matrices]) => ({ path, name: name ?? null, opened, matrices }));
  const [refused] = opened.adapter.refused;
  throw new RankscopeError(
    'wrong-use',
    path,
    refused ? `its adapter cannot be compared: ${refused.target}: ${refused.reason}` : 'it holds no LoRA adapter',
    'Name files or folders of adapters; for the ranks of a model use: rankscope analyze',
  );
}

function refuseCount(sources: readonly Source[]): void {
  if (sources.length >= 2 && sources.length <= MOST_ADAPTERS) return;
  throw new RankscopeError(
    'wrong-use',
    sources[0]?.path ?? 'adapters',
    sources.length < 2
      ? 'it is one adapter alone'
      : `${sources.length} adapters are more than the ${MOST_ADAPTERS} that are compared`,
    'Name two adapters or more of one base',
  );
}

/** The layers that any adapter touches, each by the matrix that was met first, with that of each adapter. */
function layersOf(sources: readonly Source[]): Map<Adapted, (Adapted | null)[]> {
  const byKey = new Map<string, (Adapted | null)[]>();
  for (const [index, { matrices }] of sources.entries())
    for (const matrix of matrices) {
      const key = layerKey(matrix.update.target);
      const all = byKey.get(key) ?? sources.map(() => null);
      all[index] ??= matrix;
      byKey.set(key, all);
    }
  const byFirst = new Map([...byKey.values()].map((all) => [all.find((matrix) => matrix !== null)!, all]));
  return new Map(byLayer([...byFirst.keys()]).map((first) => [first as Adapted, byFirst.get(first as Adapted)!]));
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
  first: Adapted,
  matrices: readonly (Adapted | null)[],
  sources: readonly Source[],
  { signal, skipped, totals }: LayerContext,
): Promise<ComparedLayer> {
  const updates: (ComparedUpdate | null)[] = sources.map(() => null);
  const pairs: ComparedPair[] = [];
  let merged: ComparedLayer['merged'] = null;
  const groups = await loadGroups(matrices, sources, signal, skipped);
  const remarks =
    groups.length > 1 ? [`its shapes differ: ${groups.map(({ shape }) => shape.join(' x ')).join(', ')}`] : [];
  for (const { members } of groups) {
    const columns = members.reduce((sum, { factors }) => sum + factors.rank, 0);
    const together = columns <= MOST_COLUMNS;
    if (!together) remarks.push(`its ranks add up to ${columns}: adapters are compared two by two, and not added up`);
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
    layer: first.layer,
    module: first.module,
    updates,
    pairs,
    merged,
    ...(remarks.length > 0 ? { remark: remarks.join('; ') } : {}),
  };
}

/** Each alone, and each two whose ranks together are not too many. */
function inTwos(members: readonly Member[]): Member[][] {
  const pairs = members.flatMap((one, place) => members.slice(place + 1).map((other) => [one, other]));
  const few = pairs.filter((pair) => pair.reduce((sum, { factors }) => sum + factors.rank, 0) <= MOST_COLUMNS);
  return [...members.map((member) => [member]), ...few];
}

interface Member {
  readonly index: number;
  readonly matrix: Adapted;
  readonly factors: FactoredUpdate;
}

/** The factors of each adapter that touches a layer, those of one shape together. */
async function loadGroups(
  matrices: readonly (Adapted | null)[],
  sources: readonly Source[],
  signal: AbortSignal | undefined,
  skipped: ComparisonSkipped[],
): Promise<{ shape: readonly [number, number]; members: Member[] }[]> {
  const groups = new Map<string, { shape: readonly [number, number]; members: Member[] }>();
  for (const [index, matrix] of matrices.entries()) {
    if (!matrix) continue;
    const { update } = matrix;
    try {
      refuseRank(update);
      const factors = await updateFactors(sources[index]!.opened.checkpoint, update.target, update, signal);
      const group = groups.get(String(update.shape)) ?? { shape: update.shape, members: [] };
      group.members.push({ index, matrix, factors });
      groups.set(String(update.shape), group);
    } catch (error) {
      if (!(error instanceof RankscopeError && SKIPPABLE.has(error.code))) throw error;
      skipped.push({ adapter: index, name: update.target, reason: error.found });
    }
  }
  return [...groups.values()];
}

function refuseRank({ target, rank }: AdapterUpdate): void {
  if (rank <= MOST_COLUMNS) return;
  const found = `its rank ${rank} is above the ${MOST_COLUMNS} up to which updates are compared`;
  throw new RankscopeError('too-large', target, found, 'See its spectrum with: rankscope analyze');
}

function updateFinding({ name, update }: Adapted, { measures }: UpdatesComparison, place: number): ComparedUpdate {
  const measured = measures[place]!;
  const { shape, rank, scale, dora } = update;
  return { matrix: name, shape, rank, scale, ...measured, dead: measured.norm === 0, ...(dora ? { dora } : {}) };
}
