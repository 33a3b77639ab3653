import type { DiffedHead, DiffedMatrix, ModelDiff } from '../../src/model/diff/diff.ts';
import { parseHeads } from '../../src/model/diff/restore.ts';
import { layerText } from '../../src/model/place.ts';
import { CELL, type CellValues, shareOf } from '../charts/cells.ts';
import type { Grid } from '../charts/grid.ts';
import { createHeatmapView, type HeatmapView } from '../charts/heatmapView.ts';
import { rampCanvas } from '../charts/ramp.ts';
import type { Theme } from '../charts/theme.ts';
import { button, select, textField } from '../ui/controls.ts';
import { element, fill, setText } from '../ui/dom.ts';
import { formatPercent, formatValue } from '../ui/format.ts';

/** What is looked at, and the heads that are taken back: `3.1,3.4`. */
export interface HeadView {
  readonly headModule: string | null;
  readonly headMeasure: string;
  readonly heads: string;
}

interface HeadMeasure {
  readonly id: string;
  readonly label: string;
  readonly value: (head: DiffedHead) => number | null;
  readonly text: (value: number) => string;
}

const short = (value: number) => formatValue(Number(value.toPrecision(3)));
const MEASURES: readonly HeadMeasure[] = [
  {
    id: 'change',
    label: 'Relative change',
    value: ({ change }) => change,
    text: (value) => formatPercent(Number(value.toPrecision(3))),
  },
  { id: 'differenceRank', label: 'Rank of the difference', value: ({ differenceRank }) => differenceRank, text: short },
  { id: 'rank', label: 'Effective rank', value: ({ rank }) => rank, text: short },
  { id: 'stableRank', label: 'Stable rank', value: ({ stableRank }) => stableRank, text: short },
];

/** The projections whose heads can be marked come first. */
const ROLES = ['query', 'output', 'key', 'value'];

interface HeadHooks {
  readonly change: (view: Partial<HeadView>) => void;
  readonly restore: (heads: string) => void;
}

/** Layer by head: what happens to each attention head; a click marks heads, which a button takes back to the base. */
export function createHeads(
  root: HTMLElement,
  { change, restore }: HeadHooks,
): { show(diff: ModelDiff, view: HeadView, theme: Theme): void } {
  const module = select('Projection', [], (id) => change({ headModule: id }));
  const measure = select('Measure of the heads', MEASURES, (id) => change({ headMeasure: id }));
  const holder = element('div', { class: 'diff-grid' });
  const [low, high] = [element('span'), element('span')];
  const ramp = element('p', { class: 'ramp' }, low, rampCanvas(), high);
  const field = textField('Heads to take back', '3.1,3.4,10.0-7', (heads) => change({ heads }));
  const back = button({
    label: 'Take these heads back to the base…',
    appearance: 'primary',
    onClick: () => restore(field.value),
  });
  const wrong = element('p', { class: 'notice error', attributes: { role: 'alert' } });
  const note = element('p', { class: 'faint' });
  fill(
    root,
    element('h2', { text: 'Attention heads' }),
    element('div', { class: 'tools' }, module.element, measure.element),
    note,
    element('div', { class: 'diff-map' }, holder, ramp),
    element('div', { class: 'tools' }, element('label', {}, 'Heads ', field), back.element),
    wrong,
  );
  let built: { rows: readonly DiffedMatrix[]; theme: Theme; view: HeatmapView } | null = null;
  let shown: { rows: readonly DiffedMatrix[]; width: number; measure: HeadMeasure; heads: string } | null = null;
  const placed = (index: number) => {
    const matrix = shown!.rows[Math.floor(index / shown!.width)]!;
    return { matrix, head: index % shown!.width };
  };
  const hooks = {
    zoomed: () => undefined,
    select(index: number) {
      const { matrix, head } = placed(index);
      change({ heads: toggled(shown!.heads, matrix.layer!, head) });
    },
    describe(index: number) {
      const { matrix, head } = placed(index);
      const own = matrix.heads![head]!;
      const lines = MEASURES.map(({ label, value, text }) => {
        const known = value(own);
        return `${label}: ${known === null ? 'unknown' : text(known)}`;
      });
      return [
        `Head ${head}`,
        `${layerText({ layer: matrix.layer!, stack: matrix.stack })}, ${matrix.module}`,
        ...lines,
      ];
    },
  };
  return {
    show({ matrices, heads }, view, theme) {
      const split = matrices.filter(({ heads: own, layer }) => own && layer !== null);
      root.hidden = split.length === 0;
      if (split.length === 0) return;
      const ordered = [...split].sort((a, b) => ROLES.indexOf(a.role) - ROLES.indexOf(b.role));
      const names = [...new Set(ordered.map(moduleOf))];
      const name = view.headModule !== null && names.includes(view.headModule) ? view.headModule : names[0]!;
      const measured = MEASURES.find(({ id }) => id === view.headMeasure) ?? MEASURES[0]!;
      module.setOptions(names.map((id) => ({ id, label: id })));
      module.set(name);
      measure.set(measured.id);
      const rows = split.filter((matrix) => moduleOf(matrix) === name).sort((a, b) => a.layer! - b.layer!);
      const width = Math.max(...rows.map(({ heads: own }) => own!.length));
      const values = valuesOf(rows, width, measured);
      shown = { rows, width, measure: measured, heads: view.heads };
      const isQueries = width === heads!.queries;
      const marked = isQueries ? marks(view.heads) : new Set<string>();
      const hasRank = (index: number) => {
        const { matrix, head } = placed(index);
        return marked.has(`${matrix.layer}.${head}`);
      };
      const content = { values, label: measured.text, selected: -1, hasRank };
      const same =
        built &&
        built.theme === theme &&
        String(built.rows.map((row) => row.name)) === String(rows.map((row) => row.name));
      if (built && same) built.view.show(content);
      else {
        built?.view.destroy();
        const own = isQueries ? hooks : { ...hooks, select: () => undefined };
        const grid = gridOf(rows, width);
        built = {
          rows,
          theme,
          view: createHeatmapView(
            holder,
            `Heatmap of ${name} with layers as rows and heads as columns`,
            grid,
            theme,
            content,
            own,
          ),
        };
      }
      setText(
        note,
        isQueries
          ? 'A click marks a head to be taken back, in the queries, in the output projection and, where its whole group is marked, in the keys and values.'
          : `Each head of keys and values serves ${heads!.queries / heads!.keys} heads of queries: choose the queries or the output projection to mark heads.`,
      );
      ramp.hidden = values.domain === null;
      if (values.domain) {
        setText(low, measured.text(values.domain[0]));
        setText(high, measured.text(values.domain[1]));
      }
      if (document.activeElement !== field) field.value = view.heads;
      const problem = problemOf(view.heads);
      setText(wrong, problem);
      wrong.hidden = problem === '';
      back.set({ disabled: view.heads.trim() === '' || problem !== '' });
    },
  };
}

const moduleOf = ({ module, rows, role }: DiffedMatrix) => (rows ? `${module} ${role}` : module);

/** Marked heads as `layer.head`; none for a text that names none. */
function marks(text: string): ReadonlySet<string> {
  if (problemOf(text) !== '' || text.trim() === '') return new Set();
  return new Set(parseHeads(text).map(({ layer, head }) => `${layer}.${head}`));
}

function problemOf(text: string): string {
  if (text.trim() === '') return '';
  try {
    parseHeads(text);
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function toggled(text: string, layer: number, head: number): string {
  const all = new Set(marks(text));
  const key = `${layer}.${head}`;
  if (!all.delete(key)) all.add(key);
  return [...all].join(',');
}

function gridOf(rows: readonly DiffedMatrix[], width: number): Grid {
  const cells = new Int32Array(rows.length * width).fill(-1);
  for (const [row, { heads }] of rows.entries())
    for (let head = 0; head < heads!.length; head++) cells[row * width + head] = row * width + head;
  const labels = rows.map(({ stack, layer }) => (stack === undefined ? `${layer}` : `${stack} ${layer}`));
  const columns = Array.from({ length: width }, (_, head) => String(head));
  return { kind: 'layers', rows: labels, breaks: [], columns, numbered: true, width, cells };
}

function valuesOf(rows: readonly DiffedMatrix[], width: number, { value }: HeadMeasure): CellValues {
  const values = new Float64Array(rows.length * width).fill(Number.NaN);
  for (const [row, { heads }] of rows.entries())
    for (const [head, own] of heads!.entries()) values[row * width + head] = value(own) ?? Number.NaN;
  const known = values.filter((each) => !Number.isNaN(each));
  const domain = known.length > 0 ? ([Math.min(...known), Math.max(...known)] as const) : null;
  return {
    states: new Uint8Array(values.length).fill(CELL.exact),
    values,
    shares: values.map((each) => shareOf(each, domain, 'linear')),
    domain,
    spreads: new Map(),
  };
}
