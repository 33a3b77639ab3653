import assert from 'node:assert/strict';
import { COLOR_SCALE, inkOn, SCALE_SIZE, scaleColor, scaleStep } from '../../../webview/ui/colorScale.ts';

type Rgb = readonly [number, number, number];

const colors: Rgb[] = Array.from({ length: SCALE_SIZE }, (_, step) => {
  const [red, green, blue] = COLOR_SCALE.subarray(step * 3, step * 3 + 3);
  return [red!, green!, blue!];
});
const linear = (byte: number) => (byte <= 10 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4);
const luminance = ([red, green, blue]: Rgb) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
const contrast = (a: number, b: number) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);

/** Complete deuteranopia and protanopia on linear light: Machado, Oliveira, Fernandes 2009, table 1, severity 1. */
const BLINDNESS = {
  deuteranopia: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  protanopia: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
};

/** CIE 1976 lightness, red-green and blue-yellow of linear light. */
function lab(rgb: readonly number[]): number[] {
  const [red, green, blue] = rgb.map((channel) => Math.min(1, Math.max(0, channel))) as [number, number, number];
  const white = [0.95047, 1, 1.08883];
  const xyz = [
    0.4124 * red + 0.3576 * green + 0.1805 * blue,
    0.2126 * red + 0.7152 * green + 0.0722 * blue,
    0.0193 * red + 0.1192 * green + 0.9505 * blue,
  ];
  const [x, y, z] = xyz.map((value, i) => {
    const share = value / white[i]!;
    return share > 0.008856 ? Math.cbrt(share) : 7.787 * share + 16 / 116;
  }) as [number, number, number];
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

const distance = (a: readonly number[], b: readonly number[]) => Math.hypot(...a.map((value, i) => value - b[i]!));

describe('colour scale', () => {
  it('grows lighter at every step, so that order shows without hue', () => {
    for (let step = 1; step < SCALE_SIZE; step++)
      assert.ok(luminance(colors[step]!) > luminance(colors[step - 1]!), `step ${step}`);
  });

  for (const [kind, matrix] of Object.entries(BLINDNESS))
    it(`keeps sixteen values apart for eyes with ${kind}`, () => {
      const seen = colors.map((rgb) => {
        const light = rgb.map(linear);
        return lab([0, 1, 2].map((row) => light.reduce((sum, value, i) => sum + matrix[row * 3 + i]! * value, 0)));
      });
      // A difference of 2.3 is just noticeable in CIE 1976.
      for (let i = 0; i < 15; i++) assert.ok(distance(seen[i * 17]!, seen[(i + 1) * 17]!) > 2.3 * 2, `value ${i}`);
      for (let step = 1; step < SCALE_SIZE; step++)
        assert.ok(seen[step]![0]! > seen[step - 1]![0]! - 0.3, `step ${step}`);
    });

  it('allows readable digits (WCAG 4.5 : 1) at every step', () => {
    for (let step = 0; step < SCALE_SIZE; step++) {
      const share = step / (SCALE_SIZE - 1);
      const ink = inkOn(share) === '#ffffff' ? 1 : 0;
      assert.ok(contrast(luminance(colors[step]!), ink) >= 4.5, `step ${step}`);
    }
  });

  it('clamps values outside the scale to its ends', () => {
    assert.equal(scaleStep(-3), 0);
    assert.equal(scaleStep(7), SCALE_SIZE - 1);
    assert.equal(scaleColor(2), scaleColor(1));
    assert.notEqual(scaleColor(0), scaleColor(1));
  });
});
