import type { Theme } from './theme.ts';

/** The content of a picture. */
interface Figure {
  readonly title: string;
  readonly canvases: readonly HTMLCanvasElement[];
  /** A colour ramp below the charts, with the values at its ends. */
  readonly ramp?: { readonly canvas: HTMLCanvasElement; readonly low: string; readonly high: string };
}

const MARGIN = 16;
const LINE = 28;

/** A Base64 PNG of the charts, stacked below a title on the theme's background. */
export function pictureOf({ title, canvases, ramp }: Figure, theme: Theme): string {
  const scale = Math.max(1, window.devicePixelRatio);
  const width = Math.max(320, ...canvases.map((canvas) => canvas.clientWidth)) + 2 * MARGIN;
  const height =
    canvases.reduce((sum, canvas) => sum + canvas.clientHeight + MARGIN, 0) + LINE + MARGIN + (ramp ? LINE : 0);
  const picture = document.createElement('canvas');
  picture.width = Math.round(width * scale);
  picture.height = Math.round(height * scale);
  const pen = picture.getContext('2d')!;
  pen.scale(scale, scale);
  pen.fillStyle = theme.background;
  pen.fillRect(0, 0, width, height);
  pen.fillStyle = theme.foreground;
  pen.font = `600 13px ${theme.font}`;
  pen.textBaseline = 'middle';
  pen.fillText(title, MARGIN, MARGIN + LINE / 2 - 6, width - 2 * MARGIN);
  let top = MARGIN + LINE;
  for (const canvas of canvases) {
    pen.drawImage(canvas, MARGIN, top, canvas.clientWidth, canvas.clientHeight);
    top += canvas.clientHeight + MARGIN;
  }
  if (ramp) {
    pen.font = `11px ${theme.font}`;
    const start = MARGIN + pen.measureText(ramp.low).width + 8;
    pen.fillText(ramp.low, MARGIN, top);
    pen.drawImage(ramp.canvas, start, top - 5, 180, 10);
    pen.fillText(ramp.high, start + 188, top);
  }
  return picture.toDataURL('image/png').replace(/^data:[^,]*,/, '');
}
