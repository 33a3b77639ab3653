import { significant } from '../../src/base/quantities.ts';
import type { CompressedBlock } from '../../src/model/compression.ts';
import type { CompressionSnapshot } from '../../src/protocol/page.ts';
import { element, fill } from '../ui/dom.ts';

const [WIDTH, HEIGHT] = [160, 64];
const SVG = 'http://www.w3.org/2000/svg';

/** A small chart for each block: the loss at each step of its refinement, and what came of it. */
export function createLossCurves(): {
  readonly element: HTMLElement;
  show(snapshot: Pick<CompressionSnapshot, 'blocks' | 'current'>): void;
} {
  const list = element('ol', { class: 'loss-curves' });
  const root = element(
    'section',
    { attributes: { 'aria-label': 'Refinement of the blocks' } },
    element('h2', { text: 'Refinement of each block' }),
    element('p', {
      class: 'faint',
      text: 'The loss at each step: the squared error of the block’s outputs, relative to those of the dense block. Dashed: its error on held-out windows before. Orange: not kept.',
    }),
    list,
  );
  /** Figures of finished blocks, which do not change any more. */
  const drawn = new Map<CompressedBlock, HTMLElement>();
  return {
    element: root,
    show({ blocks, current }) {
      const figures = blocks.map((block) => {
        const known = drawn.get(block) ?? figureOf(block);
        drawn.set(block, known);
        return known;
      });
      for (const block of drawn.keys()) if (!blocks.includes(block)) drawn.delete(block);
      const running = current ? underWay(current.layer, current.losses) : null;
      root.hidden = figures.length === 0 && !running;
      fill(list, ...figures, running);
    },
  };
}

function figureOf({ layer, losses, before, after, refined, reason, cut }: CompressedBlock): HTMLElement {
  const outcome =
    refined && before !== null && after !== null
      ? `${formatLoss(before)} → ${formatLoss(after)} (${change(before, after)})`
      : (reason ?? (cut === 0 ? 'dense' : 'truncated'));
  return figure(layer, outcome, losses, refined ? '' : 'unrefined', before);
}

function underWay(layer: number, losses: readonly number[]): HTMLElement {
  const last = losses.at(-1);
  return figure(layer, last === undefined ? '…' : `${formatLoss(last)} …`, losses, 'current', null);
}

function figure(
  layer: number,
  outcome: string,
  losses: readonly number[],
  kind: string,
  level: number | null,
): HTMLElement {
  return element(
    'li',
    { class: `loss-curve ${kind}` },
    element('span', { class: 'loss-head' }, element('strong', { text: `Block ${layer + 1}` })),
    element('span', { class: 'loss-outcome numeric', text: outcome, attributes: { title: outcome } }),
    curve(losses, level),
  );
}

/** On a logarithmic axis from the least to the largest loss. The texts beside it and the table hold the numbers. */
function curve(losses: readonly number[], level: number | null): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  const values = losses.filter((loss) => loss > 0 && Number.isFinite(loss));
  if (values.length < 2) return svg;
  const logs = values.map(Math.log);
  const known = level !== null && level > 0 ? [...logs, Math.log(level)] : logs;
  const low = Math.min(...known);
  const span = Math.max(...known) - low || 1;
  const y = (log: number) => HEIGHT - 4 - ((HEIGHT - 8) * (log - low)) / span;
  const line = (points: string, name: string) => {
    const made = document.createElementNS(SVG, 'polyline');
    made.setAttribute('points', points);
    made.setAttribute('class', name);
    svg.append(made);
  };
  if (level !== null && level > 0) line(`0,${y(Math.log(level))} ${WIDTH},${y(Math.log(level))}`, 'level');
  line(logs.map((log, k) => `${((WIDTH * k) / (logs.length - 1)).toFixed(1)},${y(log).toFixed(1)}`).join(' '), 'loss');
  return svg;
}

/** Losses are small: `3.4e−4`. */
export function formatLoss(loss: number): string {
  return loss >= 0.01 ? significant(loss) : loss.toExponential(1).replace('e-', 'e−');
}

/** `−12 %` */
export function change(before: number, after: number): string {
  const percent = 100 * (after / before - 1);
  return `${percent < 0 ? '−' : '+'}${significant(Math.abs(percent))} %`;
}
