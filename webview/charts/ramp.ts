import { COLOR_SCALE, SCALE_SIZE } from '../ui/colorScale.ts';
import { element } from '../ui/dom.ts';

/** The colour scale as an image, one pixel per step; CSS stretches it. */
export function rampCanvas(): HTMLCanvasElement {
  const canvas = element('canvas', { attributes: { width: String(SCALE_SIZE), height: '1', 'aria-hidden': 'true' } });
  const image = new ImageData(SCALE_SIZE, 1);
  for (let step = 0; step < SCALE_SIZE; step++) {
    image.data.set(COLOR_SCALE.subarray(step * 3, step * 3 + 3), step * 4);
    image.data[step * 4 + 3] = 255;
  }
  canvas.getContext('2d')!.putImageData(image, 0, 0);
  return canvas;
}
