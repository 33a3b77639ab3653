import type { AnglePair, ModuleAngles } from '../../src/model/sharing/sharing.ts';
import { CELL, type CellValues, shareOf } from '../charts/cells.ts';
import type { Grid } from '../charts/grid.ts';
import { createHeatmap, type HeatmapChart } from '../charts/heatmapChart.ts';
import type { Theme } from '../charts/theme.ts';
import { select } from '../ui/controls.ts';
import { element, fill, setText } from '../ui/dom.ts';
import { formatPercent } from '../ui/format.ts';

/** The module and the layers that are looked at. */
export interface AngleView {
  readonly module: string | null;
  readonly first: number | null;
  readonly second: number | null;
}

/** Layer against layer: how much of what one reads the other reads as well. */
export function createAngles(
  root: HTMLElement,
  change: (view: Partial<AngleView>) => void,
): { show(angles: readonly ModuleAngles[], view: AngleView, theme: Theme): void } {
  const module = select('Module', [], (id) => change({ module: id }));
  const first = select('First layer', [], (id) => change({ first: Number(id) }));
  const second = select('Second layer', [], (id) => change({ second: Number(id) }));
  const holder = element('div', { class: 'angle-map', attributes: { role: 'img' } });
  const explanation = element('p', { class: 'faint' });
  const detail = element('p', { attributes: { 'aria-live': 'polite' } });
  const list = element('ol', { class: 'angle-list', attributes: { tabindex: '0', 'aria-label': 'Principal angles' } });
  const none = element('p', { class: 'faint', text: 'No module stands in several layers.' });
  const pair = element('div', { class: 'tools' }, 'Layers', first.element, 'and', second.element);
  const full = element(
    'div',
    { class: 'angle-panes' },
    element('div', {}, element('div', { class: 'tools' }, module.element), explanation, holder),
    element('div', { class: 'angle-detail' }, pair, detail, list),
  );
  fill(root, element('h2', { text: 'What layers read' }), none, full);
  let drawn: readonly [ModuleAngles, Theme] | null = null;
  let chart: HeatmapChart | null = null;
  holder.addEventListener('click', ({ target, offsetX, offsetY }) => {
    if (!drawn || target !== chart?.canvas) return;
    const cell = chart.at(offsetX, offsetY);
    if (cell < 0) return;
    const { layers } = drawn[0];
    change({ first: layers[Math.floor(cell / layers.length)]!, second: layers[cell % layers.length]! });
  });

  return {
    show(angles, view, theme) {
      none.hidden = angles.length > 0;
      full.hidden = angles.length === 0;
      const own = angles.find((each) => nameOf(each) === view.module) ?? angles[0];
      if (!own) return;
      const { layers } = own;
      const [from, to] = chosenLayers(own, view);
      if (drawn?.[0] !== own || drawn[1] !== theme) {
        chart?.destroy();
        drawn = [own, theme];
        module.setOptions(angles.map((each) => ({ id: nameOf(each), label: nameOf(each) })));
        const options = layers.map((layer) => ({ id: String(layer), label: String(layer) }));
        for (const control of [first, second]) control.setOptions(options);
        const canvas = element('canvas', { attributes: { 'aria-hidden': 'true' } });
        fill(holder, canvas);
        chart = createHeatmap(canvas, gridOf(own), valuesOf(own), {
          theme,
          label: formatPercent,
          onZoom: () => undefined,
        });
        setText(explanation, explain(own));
        holder.setAttribute('aria-label', summary(own));
      }
      module.set(nameOf(own));
      first.set(String(from));
      second.set(String(to));
      chart?.show({ selected: layers.indexOf(from) * layers.length + layers.indexOf(to) });
      const found = pairOf(own, from, to);
      setText(detail, found ? inWords(own, found) : 'Choose two different layers, or a cell of the map.');
      fill(list, ...(found?.cosines ?? []).map((cosine) => element('li', { text: `${degrees(cosine)}°` })));
      list.hidden = !found;
    },
  };
}

const nameOf = ({ stack, module }: ModuleAngles) => (stack === undefined ? module : `${stack} ${module}`);
const degrees = (cosine: number) => ((Math.acos(Math.min(1, cosine)) * 180) / Math.PI).toFixed(1);

/** The layers of the view, or the two that are most alike. */
function chosenLayers({ layers, pairs }: ModuleAngles, { first, second }: AngleView): [number, number] {
  if (first !== null && second !== null && layers.includes(first) && layers.includes(second)) return [first, second];
  const most = pairs.reduce((best, pair) => (pair.overlap > best.overlap ? pair : best));
  return [most.first, most.second];
}

function pairOf({ pairs }: ModuleAngles, one: number, other: number): AnglePair | undefined {
  return pairs.find(({ first, second }) => first === Math.min(one, other) && second === Math.max(one, other));
}

/** Cell i * layers + j; the diagonal is empty. */
function gridOf({ layers }: ModuleAngles): Grid {
  const labels = layers.map(String);
  const width = layers.length;
  const cells = Int32Array.from({ length: width ** 2 }, (_, cell) => (cell % (width + 1) === 0 ? -1 : cell));
  return { kind: 'layers', rows: labels, breaks: [], columns: labels, numbered: true, width, cells };
}

function valuesOf({ layers, pairs }: ModuleAngles): CellValues {
  const width = layers.length;
  const values = new Float64Array(width ** 2).fill(Number.NaN);
  for (const { first, second, overlap } of pairs) {
    const [i, j] = [layers.indexOf(first), layers.indexOf(second)];
    values[i * width + j] = overlap;
    values[j * width + i] = overlap;
  }
  const known = pairs.map(({ overlap }) => overlap);
  const domain = [Math.min(...known), Math.max(...known)] as const;
  return {
    states: new Uint8Array(width ** 2).fill(CELL.exact),
    values,
    shares: values.map((value) => shareOf(value, domain, 'linear')),
    domain,
    spreads: new Map(),
  };
}

function explain({ directions, inputs, pairs }: ModuleAngles): string {
  const overlaps = pairs.map(({ overlap }) => overlap);
  const [low, high] = [Math.min(...overlaps), Math.max(...overlaps)];
  return `Overlap of the ${directions} leading directions of ${inputs} that each layer reads, from ${formatPercent(low)} (dark) to ${formatPercent(high)} (bright); by chance ${formatPercent(directions / inputs)}.`;
}

function summary(angles: ModuleAngles): string {
  const { layers, pairs } = angles;
  const most = pairs.reduce((best, pair) => (pair.overlap > best.overlap ? pair : best));
  return `Overlap of ${layers.length} layers of ${nameOf(angles)} with each other. The most alike are ${most.first} and ${most.second}, ${formatPercent(most.overlap)}. The fields beside the map name any two.`;
}

function inWords({ directions, inputs }: ModuleAngles, { first, second, overlap, cosines }: AnglePair): string {
  return `Layers ${first} and ${second} overlap by ${formatPercent(overlap)} (by chance ${formatPercent(directions / inputs)}). The smallest angle between what they read is ${degrees(cosines[0]!)}°, the largest ${degrees(cosines.at(-1)!)}°. All of them:`;
}
