import type { AnnotationOptions } from 'chartjs-plugin-annotation';
import { formatValue } from '../format.ts';
import { type Mark, roomFor } from './marks.ts';
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
  marks.forEach((mark, index) => {
    annotations[`mark${index}`] = {
      type: 'line',
      scaleID: 'x',
      value: mark.rank,
      borderColor: mark.color,
      borderWidth: 1,
      borderDash: [...mark.dash],
      label: {
        display: ({ chart }) =>
          labelled &&
          roomFor(
            marks.map(({ rank }) => chart.scales.x!.getPixelForValue(rank)),
            13,
          )[index]!,
        content: mark.label,
        position: 'start',
        rotation: -90,
        xAdjust: -7,
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
        position: 'start',
        yAdjust: 8,
        backgroundColor: 'transparent',
        color: level.color,
        font,
        padding: 2,
      },
    };
  }
  return annotations;
}
