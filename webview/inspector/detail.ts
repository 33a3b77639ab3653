import { placeOf, placeText } from '../../src/model/place.ts';
import type { CellValues } from '../charts/cells.ts';
import { groupAt, nameAt, neighbour } from '../charts/layout.ts';
import { button, checkbox, progressRing } from '../ui/controls.ts';
import { element, fill } from '../ui/dom.ts';
import { errorNotice } from '../ui/errorNotice.ts';
import { formatDuration, formatPercent, formatShape, formatValue, NONE } from '../ui/format.ts';
import { firstPlace, showTable } from '../ui/table.ts';
import { adapterText } from './cellText.ts';
import { createCurves } from './curves.ts';
import { createExpertPanel } from './expertPanel.ts';
import { createMeasureList } from './measureList.ts';
import { firstRank } from './rankOutcome.ts';
import { createRankPanel } from './rankPanel.ts';
import type { SpectrumState } from './spectra.ts';
import type { Model, ViewState } from './state.ts';
import { createTrialPanel, type TrialHooks } from './trial/trialPanel.ts';
import type { TrialState } from './trial/trials.ts';

interface DetailHooks {
  readonly select: (name: string) => void;
  readonly changeView: (change: Partial<ViewState>) => void;
  readonly slid: (name: string, rank: number) => void;
  readonly setRank: (name: string, rank: number) => void;
  readonly clearRank: (name: string) => void;
  readonly step: (by: number) => void;
  readonly retry: (name: string) => void;
  readonly exportAs: (kind: 'png' | 'csv', name: string, canvases: readonly HTMLCanvasElement[]) => void;
  readonly trial: Pick<TrialHooks, 'start' | 'cancel' | 'pictures'>;
}

export interface Detail {
  /** `values` are those of the cells of the map. */
  show(
    model: Model,
    view: ViewState,
    values: CellValues,
    states: { readonly spectrum: SpectrumState | null; readonly trial: TrialState | null },
  ): void;
  themeChanged(): void;
}

/**
 * One matrix in detail: its spectrum, its measures, and the cost of every rank. Or the experts of a module in one
 * layer, with the distribution of their measures.
 */
export function createDetail(root: HTMLElement, hooks: DetailHooks): Detail {
  let name = '';
  const title = element('h2', { class: 'name', attributes: { 'aria-live': 'polite' } });
  const about = element('p', { class: 'faint' });
  const adapter = element('p', { class: 'faint adapter' });
  const state = element('div', { class: 'spectrum-state' });
  const table = element('div', { class: 'table-root' });
  const previous = button({ label: '‹', title: 'Previous matrix', appearance: 'icon', onClick: () => hooks.step(-1) });
  const next = button({ label: '›', title: 'Next matrix', appearance: 'icon', onClick: () => hooks.step(1) });
  const logRank = checkbox('Log rank axis', false, (checked) => hooks.changeView({ logRank: checked }));
  const asTable = checkbox('Table', false, (checked) => hooks.changeView({ spectrumAsTable: checked }));
  const png = button({
    label: 'PNG',
    title: 'Save these curves as PNG',
    onClick: () => hooks.exportAs('png', name, curves.canvases()),
  });
  const csv = button({
    label: 'CSV',
    title: 'Save the singular values as CSV',
    onClick: () => hooks.exportAs('csv', name, []),
  });
  const panel = createRankPanel({
    moved: (rank, { pays }) => {
      curves.setRank(rank, pays);
      if (!shown) return;
      hooks.slid(name, rank);
      trial.setRank(rank);
    },
    pick: (rank) => hooks.setRank(name, rank),
    clear: () => hooks.clearRank(name),
  });
  const curves = createCurves((rank) => panel.setRank(rank));
  const trial = createTrialPanel({
    ...hooks.trial,
    setRank: hooks.setRank,
    changeFields: (fields) => hooks.changeView({ trial: fields }),
  });
  const measures = createMeasureList();
  const experts = createExpertPanel(hooks);
  const bar = element(
    'div',
    { class: 'toolbar' },
    logRank.element,
    asTable.element,
    element('span', { class: 'spring' }),
    element(
      'span',
      { class: 'group', attributes: { role: 'group', 'aria-label': 'Export this matrix' } },
      element('span', { class: 'faint', text: 'Export' }),
      png.element,
      csv.element,
    ),
  );
  const content = element(
    'div',
    { class: 'detail-content' },
    element(
      'header',
      { class: 'detail-head' },
      element('div', { class: 'detail-title' }, title, about, adapter),
      previous.element,
      next.element,
    ),
    experts.element,
    state,
    bar,
    curves.element,
    table,
    panel.element,
    trial.element,
    measures.element,
  );
  const empty = element('p', {
    class: 'empty',
    text: 'Select a cell to see its spectrum, its measures and the cost of each rank.',
  });
  root.replaceChildren(empty, content);

  const place = firstPlace();
  /** What the curves show, so that they are rebuilt only when it changes. */
  let drawn: readonly unknown[] = [];
  let shown = false;
  const drawSpectrum = (
    model: Model,
    view: ViewState,
    { outcomes, singularValues, seen }: Extract<SpectrumState, { kind: 'ready' }>,
  ) => {
    const finding = model.findings.get(name);
    const key = [singularValues, finding, view.logRank, view.spectrumAsTable];
    const same = key.length === drawn.length && key.every((value, index) => value === drawn[index]);
    drawn = key;
    if (view.spectrumAsTable) curves.clear();
    else if (!same) curves.show({ singularValues, outcomes, seen, finding, logRank: view.logRank });
    if (view.spectrumAsTable && !same) showSpectrumTable(table, { singularValues, outcomes, seen }, place);
    const picked = Object.hasOwn(model.ranks, name) ? model.ranks[name] : undefined;
    const kept = Object.hasOwn(view.sliders, name) ? view.sliders[name] : undefined;
    shown = false;
    panel.show({ outcomes, seen: seen?.outcomes }, kept ?? picked ?? firstRank(outcomes), picked);
    shown = true;
  };
  const showTrial = (
    model: Model,
    view: ViewState,
    { singularValues, outcomes }: Extract<SpectrumState, { kind: 'ready' }>,
    tried: TrialState | null,
  ) => {
    if (trial.element.hidden) return;
    const own = (ranks: Readonly<Record<string, number>>) => (Object.hasOwn(ranks, name) ? ranks[name] : undefined);
    const picked = own(model.ranks);
    const rank = own(view.sliders) ?? picked ?? firstRank(outcomes);
    trial.show({ name, singularValues, rank, picked, state: tried, fields: view.trial });
  };
  return {
    show(model, view, values, { spectrum, trial: tried }) {
      const { layout } = model;
      const index = layout.indexOf.get(view.selected ?? '');
      empty.hidden = index !== undefined;
      content.hidden = index === undefined;
      experts.show(model, view, values);
      if (index === undefined) return;
      const group = groupAt(layout, index);
      const matrix = layout.matrices[group?.members[0] ?? index]!;
      const isNew = nameAt(layout, index) !== name;
      if (isNew) {
        drawn = [];
        place.page = 0;
      }
      name = nameAt(layout, index);
      const finding = model.findings.get(name);
      title.textContent = name;
      about.textContent = [
        `${group ? `${group.members.length} experts of ` : ''}${formatShape(matrix.shape)} ${matrix.dtype}`,
        placeText(group ? placeOf(group) : matrix),
        finding ? `${finding.provenance}, ${formatDuration(finding.seconds)}` : '',
      ]
        .filter(Boolean)
        .join(' · ');
      adapter.textContent = finding ? adapterText(finding) : '';
      adapter.hidden = adapter.textContent === '';
      previous.set({ disabled: neighbour(layout, name, -1) === undefined });
      next.set({ disabled: neighbour(layout, name, 1) === undefined });
      measures.element.hidden = group !== undefined;
      logRank.set(view.logRank);
      asTable.set(view.spectrumAsTable);
      const ready = spectrum?.kind === 'ready' ? spectrum : null;
      bar.hidden = !ready;
      // An adapter's update is already stored as factors: there is no rank to choose.
      trial.element.hidden = panel.element.hidden = !ready || finding?.adapter !== undefined;
      curves.element.hidden = !ready || view.spectrumAsTable;
      table.hidden = !ready || !view.spectrumAsTable;
      png.set({ disabled: view.spectrumAsTable });
      showState(state, spectrum, model.skipped.get(name), () => hooks.retry(name));
      if (ready) {
        drawSpectrum(model, view, ready);
        showTrial(model, view, ready, tried);
      } else curves.clear();
      measures.show(finding);
      // A new matrix is shown from its top.
      if (isNew) root.scrollTop = 0;
    },
    themeChanged() {
      drawn = [];
      experts.themeChanged();
      trial.themeChanged();
    },
  };
}

function showState(
  root: HTMLElement,
  spectrum: SpectrumState | null,
  skipped: string | undefined,
  retry: () => void,
): void {
  root.hidden = spectrum?.kind === 'ready';
  const kind = skipped ? 'skipped' : (spectrum?.kind ?? 'none');
  if (root.dataset.kind === kind && kind === 'loading') return;
  root.dataset.kind = kind;
  if (skipped) fill(root, element('p', { class: 'notice', text: `This matrix was skipped: ${skipped}` }));
  else if (spectrum?.kind === 'loading') {
    fill(
      root,
      progressRing('Computing the spectrum'),
      element('span', { text: 'Computing the spectrum …', attributes: { role: 'status' } }),
    );
  } else if (spectrum?.kind === 'failed') {
    fill(root, errorNotice(spectrum.error), button({ label: 'Try again', onClick: retry }).element);
  } else fill(root);
}

function showSpectrumTable(
  root: HTMLElement,
  { singularValues, outcomes, seen }: Omit<Extract<SpectrumState, { kind: 'ready' }>, 'kind'>,
  place: ReturnType<typeof firstPlace>,
): void {
  showTable(
    root,
    {
      caption: 'Singular values and the energy each rank keeps',
      rows: singularValues.map((value, index) => ({ value, rank: index + 1 })),
      columns: [
        { head: 'Rank', numeric: true, text: ({ rank }) => String(rank) },
        {
          head: 'Singular value',
          numeric: true,
          text: ({ value }) => (Number.isFinite(value) ? formatValue(value) : NONE),
        },
        { head: 'Energy kept', numeric: true, text: ({ rank }) => formatPercent(outcomes.at(rank).energy) },
        { head: 'Error', numeric: true, text: ({ rank }) => formatPercent(outcomes.at(rank).error) },
        ...(seen
          ? [
              {
                head: 'Singular value of W X',
                numeric: true,
                text: ({ rank }: { rank: number }) => formatValue(seen.singularValues[rank - 1] ?? 0),
              },
              {
                head: 'Energy of W X kept',
                numeric: true,
                text: ({ rank }: { rank: number }) => formatPercent(seen.outcomes.at(rank).energy),
              },
            ]
          : []),
      ],
    },
    place,
  );
}
