import { errorData } from '../../../src/base/errors.ts';
import type { TrialMethod, TrialPictureRequest, TrialPictures, TrialRegion } from '../../../src/model/trial.ts';
import { button } from '../../ui/controls.ts';
import { element, fill, setText } from '../../ui/dom.ts';
import { errorNotice } from '../../ui/errorNotice.ts';
import { formatValue } from '../../ui/format.ts';
import { paintTiles } from './paintTiles.ts';
import { isSameRegion, moved, zoomed } from './region.ts';

/** Whose pictures are shown. */
export interface PictureSubject {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly method: TrialMethod;
  readonly rank: number;
  readonly options: Partial<Pick<TrialPictureRequest, 'oversampling' | 'powerIterations' | 'probes' | 'seed'>>;
}

const KINDS = ['original', 'approximation', 'residual'] as const;

/** The original, the approximation and the residual on one colour scale, which are zoomed into together. */
export function createPicturePanel(ask: (request: Omit<TrialPictureRequest, 'path'>) => Promise<TrialPictures>): {
  readonly element: HTMLElement;
  show(subject: PictureSubject | null): void;
} {
  let subject: PictureSubject | null = null;
  let region: TrialRegion = { row: 0, col: 0, rows: 1, cols: 1 };
  let shown: TrialPictures | null = null;
  /** Counts the requests; only the answer to the last one is drawn. */
  let asked = 0;
  const canvases = KINDS.map(() => element('canvas', { attributes: { 'aria-hidden': 'true' } }));
  const figures = KINDS.map((kind, k) =>
    element('figure', {}, element('figcaption', { class: 'faint', text: captionOf(kind) }), canvases[k]!),
  );
  const pictures = element(
    'div',
    { class: 'trial-pictures', attributes: { tabindex: '0', role: 'group' } },
    ...figures,
  );
  const scale = element('p', { class: 'faint' });
  const readout = element('p', { class: 'trial-readout', attributes: { role: 'status' } });
  const state = element('div');
  const go = (to: TrialRegion) => {
    if (isSameRegion(to, region)) return;
    region = to;
    request();
  };
  const whole = () => subject && go({ row: 0, col: 0, rows: subject.shape[0], cols: subject.shape[1] });
  const zoom = (factor: number, at?: readonly [number, number]) =>
    subject && go(zoomed(region, subject.shape, factor, at));
  const zoomIn = button({ label: '+', title: 'Zoom in', onClick: () => zoom(0.5) });
  const zoomOut = button({ label: '−', title: 'Zoom out', onClick: () => zoom(2) });
  const all = button({ label: 'Whole matrix', onClick: whole });
  const place = element('span', { class: 'faint' });
  const bar = element('div', { class: 'toolbar' }, zoomIn.element, zoomOut.element, all.element, place);
  const root = element('div', { class: 'trial-picture-panel' }, bar, state, pictures, scale, readout);

  const STEPS: Readonly<Record<string, readonly [number, number]>> = {
    ArrowLeft: [-0.25, 0],
    ArrowRight: [0.25, 0],
    ArrowUp: [0, -0.25],
    ArrowDown: [0, 0.25],
  };
  pictures.addEventListener('keydown', (event) => {
    const step = STEPS[event.key];
    if (!subject) return;
    if (step) go(moved(region, subject.shape, step));
    else if (event.key === '+' || event.key === '=') zoom(0.5);
    else if (event.key === '-') zoom(2);
    else return;
    event.preventDefault();
  });
  for (const canvas of canvases) {
    canvas.addEventListener('click', ({ offsetX, offsetY }) => {
      zoom(0.5, [offsetX / canvas.clientWidth, offsetY / canvas.clientHeight]);
    });
    canvas.addEventListener('pointermove', ({ offsetX, offsetY }) => {
      if (shown) setText(readout, readoutOf(shown, offsetX / canvas.clientWidth, offsetY / canvas.clientHeight));
    });
  }

  function request(): void {
    if (!subject) return;
    const own = ++asked;
    const { name, method, rank, options } = subject;
    ask({ name, method, rank, region, ...options }).then(
      (found) => own === asked && draw(found),
      (error: unknown) => {
        if (own !== asked) return;
        fill(state, errorNotice(errorData(error, name)));
        pictures.hidden = true;
      },
    );
  }

  function draw(found: TrialPictures): void {
    shown = found;
    fill(state);
    pictures.hidden = false;
    const { width, height, largest, tileRows, tileCols, shows } = found;
    for (const [k, kind] of KINDS.entries()) {
      const canvas = canvases[k]!;
      canvas.width = width;
      canvas.height = height;
      // Very wide and very tall matrices are drawn less so, or nothing could be seen in them.
      canvas.style.setProperty(
        'aspect-ratio',
        String(Math.min(1.6, Math.max(0.6, found.region.cols / found.region.rows))),
      );
      canvas.getContext('2d')!.putImageData(new ImageData(paintTiles(found[kind], largest), width, height), 0, 0);
    }
    const [m, n] = subject!.shape;
    const isWhole = region.rows === m && region.cols === n;
    all.set({ disabled: isWhole });
    zoomOut.set({ disabled: isWhole });
    setText(place, isWhole ? `${m} × ${n}` : placeText(found.region));
    const what =
      shows === 'entry'
        ? 'Each square is an entry'
        : `Each square is the root mean square of ${tileRows} × ${tileCols} entries`;
    setText(scale, `${what}; from 0 (dark) to ${formatValue(largest)} (bright) in all three.`);
    const sizes = KINDS.map((kind) => `${captionOf(kind)} ${formatValue(rootMeanSquare(found[kind]))}`).join(', ');
    pictures.setAttribute(
      'aria-label',
      `Pictures of ${placeText(found.region)}; root mean squares: ${sizes}. Arrow keys move, plus and minus zoom.`,
    );
    setText(readout, 'Click to zoom in; point to read values.');
  }

  return {
    element: root,
    show(next) {
      root.hidden = next === null;
      if (!next || (subject && isSame(next, subject))) return;
      const other = subject?.name !== next.name;
      subject = next;
      if (other) {
        region = { row: 0, col: 0, rows: next.shape[0], cols: next.shape[1] };
        shown = null;
        pictures.hidden = true;
      }
      request();
    },
  };
}

const captionOf = (kind: (typeof KINDS)[number]) => `${kind[0]!.toUpperCase()}${kind.slice(1)}`;

const isSame = (one: PictureSubject, other: PictureSubject) => JSON.stringify(one) === JSON.stringify(other);

const placeText = ({ row, col, rows, cols }: TrialRegion) =>
  `rows ${row} to ${row + rows - 1}, columns ${col} to ${col + cols - 1}`;

function readoutOf(found: TrialPictures, x: number, y: number): string {
  const { width, height, region, tileRows, tileCols } = found;
  const [i, j] = [Math.floor(y * height), Math.floor(x * width)];
  if (i < 0 || j < 0 || i >= height || j >= width) return '';
  const span = (from: number, at: number, size: number, length: number) => {
    const last = Math.min(length, (at + 1) * size) - 1;
    return size === 1 ? String(from + at) : `${from + at * size} to ${from + last}`;
  };
  const values = KINDS.map((kind) => `${kind} ${formatValue(found[kind][i * width + j]!)}`).join(', ');
  return `Row ${span(region.row, i, tileRows, region.rows)}, column ${span(region.col, j, tileCols, region.cols)}: ${values}`;
}

const rootMeanSquare = (tiles: readonly number[]) =>
  Math.sqrt(tiles.reduce((sum, value) => sum + value * value, 0) / Math.max(1, tiles.length));
