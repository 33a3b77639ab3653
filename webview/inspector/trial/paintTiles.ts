import { COLOR_SCALE, scaleStep } from '../../ui/colorScale.ts';

/** One RGBA pixel for each tile: its magnitude, from 0 to `largest`, on the colour scale of all pictures. */
export function paintTiles(tiles: readonly number[], largest: number): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(4 * tiles.length);
  for (const [at, value] of tiles.entries()) {
    const step = 3 * scaleStep(largest > 0 ? Math.abs(value) / largest : 0);
    for (let channel = 0; channel < 3; channel++) pixels[4 * at + channel] = COLOR_SCALE[step + channel]!;
    pixels[4 * at + 3] = 255;
  }
  return pixels;
}
