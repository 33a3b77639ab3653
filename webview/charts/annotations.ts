import type { Chart } from 'chart.js';
import type { AnnotationOptions } from 'chartjs-plugin-annotation';
import { formatValue } from '../format.ts';
import { type Mark, placeMarks } from './marks.ts';
import type { Theme } from './theme.ts';

/** A horizontal line, such as the noise edge. */
export interface Level {
  readonly value: number;
  readonly label: string;
  readonly color: string;
}

interface Content {
  readonly marks: readonly Mark[];
  readonly level?: Level;
  readonly labelled: boolean;
  readonly theme: Theme;
}

/** Marks as vertical lines and `level` as a horizontal one, for the annotation plugin; a label that has no room is left out. */
export function annotationsOf({ marks, level, labelled, theme }: Content): Record<string, AnnotationOptions> {
  const font = { size: 10, family: theme.font, weight: 'normal' } as const;
  const annotations: Record<string, AnnotationOptions> = {};
  const placed = (chart: Chart) => {
    const x = chart.scales.x!;
    const positions = marks.map(({ rank }) => x.getPixelForValue(rank));
    return placeMarks(marks, positions, chart.chartArea.left, chart.chartArea.right);
  };
  marks.forEach((mark, index) => {
    annotations[`mark${index}`] = {
      type: 'line',
      scaleID: 'x',
      value: mark.rank,
      // Not by `display`, which is asked before the chart has a size.
      borderColor: ({ chart }) => (placed(chart)[index]!.line ? mark.color : 'transparent'),
      borderWidth: 1,
      borderDash: [...mark.dash],
      label: {
        display: ({ chart }) => labelled && placed(chart)[index]!.label !== '',
        content: ({ chart }) => placed(chart)[index]!.label,
        position: 'start',
        rotation: -90,
        xAdjust: ({ chart }) => placed(chart)[index]!.shift,
        backgroundColor: 'transparent',
        color: mark.color,
        font,
        padding: 2,
      },
    };
  });
  if (level && level.value > 0) {
    annotations.level = {
      type: 'line',
      scaleID: 'y',
      value: level.value,
      borderColor: level.color,
      borderWidth: 1,
      borderDash: [2, 2],
      label: {
        display: true,
        content: `${level.label} ${formatValue(level.value)}`,
        // At the end where the labels of the marks leave room.
        position: ({ chart }) => (freeEnd(chart, marks) ? 'end' : 'start'),
        yAdjust: ({ chart }) => (freeEnd(chart, marks) ? -8 : 8),
        backgroundColor: 'transparent',
        color: level.color,
        font,
        padding: 2,
      },
    };
  }
  return annotations;
}

/** Room for the label of a level, in pixels. */
const LEVEL_WIDTH = 110;

/** Whether marks stand at the left end of the chart and none at its right end. */
function freeEnd({ scales, chartArea: { left, right } }: Chart, marks: readonly Mark[]): boolean {
  const positions = marks.map(({ rank }) => scales.x!.getPixelForValue(rank));
  return positions.some((at) => at < left + LEVEL_WIDTH) && positions.every((at) => at < right - LEVEL_WIDTH);
}
