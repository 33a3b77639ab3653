import type { Page } from 'playwright-core';

/** What lies at one point of the heatmap: the tooltip the pointer brings up, and the colours around it. */
export interface Probe {
  readonly x: number;
  readonly y: number;
  /** Lines of the tooltip, the matrix's name first; empty where there is none. */
  readonly lines: readonly string[];
  /** Colours of a few pixels about the point, as `r,g,b,a`, each once. */
  readonly colors: readonly string[];
}

/** Points at `columns` x `rows` places spread over the first heatmap's canvas. */
export function probeMap(page: Page, columns: number, rows: number): Promise<Probe[]> {
  const places = Array.from({ length: rows * columns }, (_, index) => [
    ((index % columns) + 0.5) / columns,
    (Math.floor(index / columns) + 0.5) / rows,
  ]);
  return probeAt(page, places);
}

/** Points at places of the first heatmap's canvas, given as shares of its width and height. */
async function probeAt(page: Page, places: readonly (readonly number[])[]): Promise<Probe[]> {
  return page.evaluate((shares) => {
    const canvas = document.querySelector<HTMLCanvasElement>('.map canvas')!;
    const tip = document.querySelector<HTMLElement>('.map .tip')!;
    const box = canvas.getBoundingClientRect();
    const scale = canvas.width / box.width;
    // Read once: each reading brings the whole picture from where it is drawn.
    const { data, width } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
    const probes = shares.map(([across, down]) => {
      const [x, y] = [across! * box.width, down! * box.height];
      const event = { clientX: box.x + x, clientY: box.y + y, bubbles: true };
      canvas.dispatchEvent(new PointerEvent('pointermove', event));
      const colors = new Set<string>();
      for (let dy = -4; dy <= 4; dy++)
        for (let dx = -4; dx <= 4; dx++) {
          const at = ((Math.round(y * scale) + dy) * width + Math.round(x * scale) + dx) * 4;
          if (at >= 0 && at < data.length) colors.add(data.slice(at, at + 4).join(','));
        }
      const lines = tip.hidden ? [] : [...tip.children].map((line) => line.textContent ?? '');
      return { x, y, lines, colors: [...colors] };
    });
    canvas.dispatchEvent(new PointerEvent('pointerleave'));
    return probes;
  }, places);
}

/** All that can be read at `name`'s cell: a few places inside it. */
export async function probeCell(page: Page, name: string): Promise<Probe[]> {
  const found = (await probeMap(page, 40, 40)).filter(({ lines }) => lines[0] === name);
  if (found.length === 0) throw new Error(`${name} is not in sight`);
  return found;
}

/** A point of the page inside the cell of `name`. */
export async function pointIn(page: Page, name: string): Promise<{ x: number; y: number }> {
  const [probe] = await probeCell(page, name);
  const box = (await page.locator('.map canvas').first().boundingBox())!;
  return { x: box.x + probe!.x, y: box.y + probe!.y };
}
