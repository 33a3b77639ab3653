import type { Chart } from 'chart.js';
import type { AnnotationOptions } from 'chartjs-plugin-annotation';
import { formatValue } from '../ui/format.ts';
import { type Box, placeLevels } from './levels.ts';
import { type Mark, type Placed, placeMarks } from './marks.ts';
import type { Theme } from './theme.ts';

/** A horizontal line, such as the noise edge. */
export interface Level {
  readonly value: number;
  readonly label: string;
  readonly color: string;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

interface Content {
  readonly marks: readonly Mark[];
  readonly levels: readonly Level[];
  /** The points of each curve, from left to right: labels keep off them. */
  readonly curves: readonly (readonly Point[])[];
  /** Whether marks have labels. */
  readonly labelled: boolean;
  readonly theme: Theme;
}

const FONT_SIZE = 10;
/** Padding around a label's text, in pixels. */
const PADDING = 2;
const LABEL_HEIGHT = 1.2 * FONT_SIZE + 2 * PADDING;

/**
 * Marks as vertical lines and levels as horizontal ones, for the annotation plugin. Labels without room are left out.
 */
export function annotationsOf(content: Content): Record<string, AnnotationOptions> {
  const { marks, labelled, theme } = content;
  const levels = content.levels.filter(({ value }) => value > 0);
  const font = { size: FONT_SIZE, family: theme.font, weight: 'normal' } as const;
  const shared = { backgroundColor: 'transparent', font, padding: PADDING };
  const layout = layoutOf({ ...content, levels });
  const annotations: Record<string, AnnotationOptions> = {};
  marks.forEach((mark, index) => {
    annotations[`mark${index}`] = {
      type: 'line',
      scaleID: 'x',
      value: mark.rank,
      // `display` is evaluated before the chart has a size, so a hidden line is drawn transparent.
      borderColor: ({ chart }) => (layout(chart).marks[index]!.line ? mark.color : 'transparent'),
      borderWidth: 1,
      borderDash: [...mark.dash],
      label: {
        ...shared,
        display: ({ chart }) => labelled && layout(chart).marks[index]!.label !== '',
        content: ({ chart }) => layout(chart).marks[index]!.label,
        position: 'start',
        rotation: -90,
        xAdjust: ({ chart }) => layout(chart).marks[index]!.shift,
        color: mark.color,
      },
    };
  });
  levels.forEach((level, index) => {
    annotations[`level${index}`] = {
      type: 'line',
      scaleID: 'y',
      value: level.value,
      borderColor: level.color,
      borderWidth: 1,
      borderDash: [2, 2],
      label: {
        ...shared,
        display: ({ chart }) => layout(chart).levels[index] !== undefined,
        content: textOf(level),
        position: 'start',
        xAdjust: ({ chart }) => (layout(chart).levels[index]?.left ?? 0) - chart.chartArea.left - PADDING,
        yAdjust: ({ chart }) => adjustY(chart, level, layout(chart).levels[index]),
        color: level.color,
      },
    };
  });
  return annotations;
}

const textOf = ({ label, value }: Level): string => `${label} ${formatValue(value)}`;

interface LabelLayout {
  readonly marks: readonly Placed[];
  readonly levels: readonly (Box | undefined)[];
}

/** The positions of all labels at the chart's current size, computed once for each size. */
function layoutOf(content: Content): (chart: Chart) => LabelLayout {
  let known: { readonly size: string; readonly layout: LabelLayout } | undefined;
  return (chart) => {
    const { left, top, right, bottom } = chart.chartArea;
    const { x, y } = chart.scales;
    const size = String([left, top, right, bottom, x!.min, x!.max, y!.min, y!.max]);
    if (known?.size !== size) known = { size, layout: laidOut(content, chart) };
    return known.layout;
  };
}

function laidOut(
  { marks, levels, curves, labelled, theme }: Content,
  { ctx, scales, chartArea: area }: Chart,
): LabelLayout {
  const positions = marks.map(({ rank }) => scales.x!.getPixelForValue(rank));
  const placed = placeMarks(marks, positions, area.left, area.right);
  if (levels.length === 0) return { marks: placed, levels: [] };
  ctx.save();
  ctx.font = `${FONT_SIZE}px ${theme.font}`;
  const widthOf = (text: string) => ctx.measureText(text).width + 2 * PADDING;
  const labels = placed.flatMap(({ label, shift }, index): Box[] => {
    if (!labelled || label === '') return [];
    const center = positions[index]! + shift;
    const bottom = area.top + widthOf(label) + 2 * PADDING;
    return [{ left: center - LABEL_HEIGHT / 2, right: center + LABEL_HEIGHT / 2, top: area.top, bottom }];
  });
  const lines = [
    ...positions.filter((_, index) => placed[index]!.line).map((at) => ({ ...area, left: at, right: at + 1 })),
    ...levels.map(({ value }) => scales.y!.getPixelForValue(value)).map((at) => ({ ...area, top: at, bottom: at + 1 })),
  ];
  const sizes = levels.map((level) => ({
    y: scales.y!.getPixelForValue(level.value),
    width: widthOf(textOf(level)),
    height: LABEL_HEIGHT,
  }));
  ctx.restore();
  const curve = curves.flatMap((points) => boxesAlong(points, scales));
  return { marks: placed, levels: placeLevels(sizes, { area, labels, lines, curve }) };
}

/** Boxes that approximate a curve. */
const CURVE_BOXES = 100;

function boxesAlong(points: readonly Point[], scales: Chart['scales']): Box[] {
  const step = Math.max(1, Math.ceil(points.length / CURVE_BOXES));
  const corners = points
    .filter((_, index) => index % step === 0 || index === points.length - 1)
    .map(({ x, y }) => ({ x: scales.x!.getPixelForValue(x), y: scales.y!.getPixelForValue(y) }));
  return corners.slice(1).map((to, index) => {
    const from = corners[index]!;
    return { left: from.x, right: to.x + 1, top: Math.min(from.y, to.y) - 1, bottom: Math.max(from.y, to.y) + 1 };
  });
}

/** Moves a label from where the plugin would centre it, on its line within the chart, to its place. */
function adjustY({ scales, chartArea: { top, bottom } }: Chart, { value }: Level, place: Box | undefined): number {
  if (!place) return 0;
  const inset = PADDING + LABEL_HEIGHT / 2;
  const own = Math.min(bottom - inset, Math.max(top + inset, scales.y!.getPixelForValue(value)));
  return (place.top + place.bottom) / 2 - own;
}
