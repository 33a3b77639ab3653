import type { MatrixFinding } from '../../src/model/findings.ts';
import { isSamePlace } from '../../src/model/place.ts';
import type { InspectorSnapshot, InspectorUpdate } from '../../src/protocol/page.ts';
import type { MatrixView } from '../../src/protocol/service.ts';
import type { Zoom } from '../charts/heatmapChart.ts';
import { buildLayout, type Layout } from '../charts/layout.ts';
import { BASES, type Basis, MEASURES } from './measures.ts';
import { restoreFields, type TrialFields } from './trial/trialChoice.ts';

/** What the user set on the page. Kept across reloads. */
export interface ViewState {
  readonly selected: string | null;
  readonly measure: string;
  readonly basis: Basis;
  readonly asTable: boolean;
  /** The visible part of the layer grid; null shows all. */
  readonly zoom: Zoom | null;
  /** The module whose experts are the columns of the layer grid; null shows the modules. */
  readonly opened: string | null;
  readonly logRank: boolean;
  readonly spectrumAsTable: boolean;
  /** Slider positions of recently shown matrices, by tensor name. */
  readonly sliders: Readonly<Record<string, number>>;
  readonly trial: TrialFields;
}

export const INITIAL_VIEW: ViewState = {
  selected: null,
  measure: 'effectiveRank',
  basis: 'full',
  asTable: false,
  zoom: null,
  opened: null,
  logRank: false,
  spectrumAsTable: false,
  sliders: {},
  trial: restoreFields(null),
};

/** The host's state and its layout on the page. */
export interface Model extends Omit<InspectorSnapshot, 'findings' | 'skipped'> {
  readonly layout: Layout;
  readonly findings: ReadonlyMap<string, MatrixFinding>;
  readonly skipped: ReadonlyMap<string, string>;
}

/** What an update changed, so that only the affected views are redrawn. */
export type Part = 'checkpoint' | 'run' | 'findings' | 'ranks' | 'selected';

export function modelOf(snapshot: InspectorSnapshot): Model {
  return {
    ...snapshot,
    layout: buildLayout(snapshot.checkpoint?.matrices ?? []),
    findings: new Map(snapshot.findings.map((finding) => [finding.name, finding])),
    skipped: new Map([
      ...skippedAtOpening(snapshot.checkpoint),
      ...snapshot.skipped.map(({ name, reason }) => [name, reason] as const),
    ]),
  };
}

/**
 * The model after `update`, and what changed. The maps are updated in place: copying 100,000 findings for each new one
 * would take longer than drawing them.
 */
export function updated(model: Model, update: InspectorUpdate): { model: Model; changed: ReadonlySet<Part> } {
  const changed = new Set<Part>();
  const { findings: newFindings = [], skipped: newlySkipped = [], trialStep: _, ...rest } = update;
  const reopened = update.checkpoint === undefined ? model : reopen(model, update.checkpoint);
  const findings = reopened.findings as Map<string, MatrixFinding>;
  const skipped = reopened.skipped as Map<string, string>;
  for (const finding of newFindings) findings.set(finding.name, finding);
  for (const { name, reason } of newlySkipped) skipped.set(name, reason);
  if (update.checkpoint !== undefined) changed.add('checkpoint');
  if (newFindings.length > 0 || newlySkipped.length > 0) changed.add('findings');
  if (update.run || update.engine || 'error' in update) changed.add('run');
  if (update.ranks) changed.add('ranks');
  if (update.selected) changed.add('selected');
  return { model: { ...reopened, ...rest }, changed };
}

/**
 * The model of a checkpoint that was read again. Findings of unchanged matrices are kept, because the host reloads the
 * page if the content changed. The layout stays if the matrices are the same, so that nothing moves under the pointer.
 */
function reopen(model: Model, checkpoint: InspectorSnapshot['checkpoint']): Model {
  const matrices = checkpoint?.matrices ?? [];
  const before = model.checkpoint?.matrices ?? [];
  if (matrices.length === before.length && matrices.every((matrix, index) => isSame(matrix, before[index]!))) {
    return { ...model, skipped: new Map([...model.skipped, ...skippedAtOpening(checkpoint)]) };
  }
  const kept = matrices.flatMap(({ name, shape }) => {
    const finding = model.findings.get(name);
    return finding && String(finding.shape) === String(shape) ? [[name, finding] as const] : [];
  });
  return {
    ...model,
    layout: buildLayout(matrices),
    findings: new Map(kept),
    skipped: new Map(skippedAtOpening(checkpoint)),
  };
}

function isSame(a: MatrixView, b: MatrixView): boolean {
  return a.name === b.name && a.expert === b.expert && isSamePlace(a, b) && String(a.shape) === String(b.shape);
}

const SLIDERS_KEPT = 200;

/** `view` with the slider of `name` at `rank`; only the latest positions are kept. */
export function withSlider(view: ViewState, name: string, rank: number): ViewState {
  const { [name]: _, ...others } = view.sliders;
  const entries = Object.entries(others).slice(-(SLIDERS_KEPT - 1));
  return { ...view, sliders: Object.fromEntries([...entries, [name, rank]]) };
}

/** Validates a restored state, which an older version of the page may have written. */
export function restoreView(kept: unknown): ViewState {
  if (typeof kept !== 'object' || kept === null) return INITIAL_VIEW;
  const old = kept as Partial<Record<keyof ViewState, unknown>>;
  const sliders = Object.entries(typeof old.sliders === 'object' && old.sliders ? old.sliders : {}).filter(([, rank]) =>
    Number.isInteger(rank),
  );
  return {
    selected: typeof old.selected === 'string' ? old.selected : null,
    measure: MEASURES.find(({ id }) => id === old.measure)?.id ?? INITIAL_VIEW.measure,
    basis: BASES.find(({ id }) => id === old.basis)?.id ?? INITIAL_VIEW.basis,
    asTable: old.asTable === true,
    zoom: isZoom(old.zoom) ? old.zoom : null,
    opened: typeof old.opened === 'string' ? old.opened : null,
    logRank: old.logRank === true,
    spectrumAsTable: old.spectrumAsTable === true,
    sliders: Object.fromEntries(sliders) as Record<string, number>,
    trial: restoreFields(old.trial),
  };
}

function isZoom(value: unknown): value is Zoom {
  const isRange = (range: unknown) =>
    Array.isArray(range) && range.length === 2 && range.every(Number.isFinite) && range[0] < range[1];
  return typeof value === 'object' && value !== null && isRange((value as Zoom).x) && isRange((value as Zoom).y);
}

function skippedAtOpening(checkpoint: InspectorSnapshot['checkpoint']): (readonly [string, string])[] {
  return (checkpoint?.skipped ?? []).map(({ name, reason }) => [name, reason]);
}
