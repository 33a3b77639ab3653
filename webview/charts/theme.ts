import { perFrame } from '../ui/dom.ts';

/** The editor's colours for canvases; charts are rebuilt when they change. */
export interface Theme {
  readonly foreground: string;
  readonly faint: string;
  readonly background: string;
  readonly grid: string;
  readonly focus: string;
  readonly error: string;
  readonly line: string;
  /** A second curve beside the first. */
  readonly secondLine: string;
  readonly marks: {
    readonly energy: string;
    readonly noise: string;
    readonly numerical: string;
    readonly breakEven: string;
    readonly rank: string;
  };
  readonly pending: string;
  readonly skipped: string;
  readonly font: string;
  readonly highContrast: boolean;
}

export function readTheme(): Theme {
  const style = getComputedStyle(document.body);
  // The chart library cannot parse `color-mix`.
  const read = (name: string) => plainColor(style.getPropertyValue(name).trim());
  return {
    foreground: read('--ink'),
    faint: read('--faint'),
    background: read('--page'),
    grid: read('--chart-rule'),
    focus: read('--focus'),
    error: read('--error'),
    line: read('--chart-line'),
    secondLine: read('--chart-second-line'),
    marks: {
      energy: read('--mark-energy'),
      noise: read('--mark-noise'),
      numerical: read('--mark-numerical'),
      breakEven: read('--mark-break-even'),
      rank: read('--ink'),
    },
    pending: read('--cell-pending'),
    skipped: read('--cell-skipped'),
    font: style.fontFamily,
    highContrast: document.body.classList.contains('vscode-high-contrast'),
  };
}

/**
 * Calls `listener` after the editor changed its theme, which shows in the body's class and the root element's style.
 * Changes of these that change no colour are ignored, because rebuilding the charts takes the focus away.
 */
export function onThemeChange(listener: () => void): void {
  let last = JSON.stringify(readTheme());
  const look = perFrame(() => {
    const now = JSON.stringify(readTheme());
    if (now === last) return;
    last = now;
    listener();
  });
  const observer = new MutationObserver(look);
  observer.observe(document.body, { attributes: true, attributeFilter: ['class', 'data-vscode-theme-id'] });
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['style'] });
}

/** Red, green, blue and alpha bytes of any CSS colour. */
export function colorBytes(color: string): [number, number, number, number] {
  const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })!;
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data] as [number, number, number, number];
}

function plainColor(color: string): string {
  const [red, green, blue, alpha] = colorBytes(color);
  return `rgba(${red}, ${green}, ${blue}, ${alpha / 255})`;
}
