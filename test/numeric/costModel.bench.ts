/**
 * Prints for some shapes and ranks how much longer the exact route takes than the sketch on the cpu backend, next to
 * the prediction of the cost model, and the error of each relative to the least possible: `node --import tsx
 * test/numeric/costModel.bench.ts [SIZE ...]`
 */
import { chooseDevice } from '../../src/devices/choose.ts';
import { svdCost } from '../../src/spectrum/costModel.ts';
import { truncatedSvd } from '../../src/spectrum/truncated.ts';
import { matrixWith, SPECTRA } from './cases.ts';
import { sourceOf } from './device.ts';

const ROUTES = ['exact', 'sketch'] as const;
const sizes = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [512, 1024];
const backend = await chooseDevice({ engine: 'cpu' });
console.log('m n rank | exact s, sketch s | exact / sketch: measured, model | error over the least: exact, sketch');
for (const [rows, cols] of sizes.flatMap((size) => [
  [size, size],
  [4 * size, size],
]) as [number, number][]) {
  const values = Float64Array.from({ length: cols }, (_, i) => SPECTRA.weight(i, cols));
  const source = sourceOf(matrixWith(values, rows, cols, 3), rows, cols);
  for (const share of [1 / 64, 1 / 16, 1 / 8, 1 / 4, 1 / 2]) {
    const rank = Math.round(cols * share);
    const seconds: number[] = [];
    const errors: number[] = [];
    for (const route of ROUTES) {
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 3; i++) {
        const started = performance.now();
        const factors = await truncatedSvd(backend, source, rank, { route });
        best = Math.min(best, (performance.now() - started) / 1000);
        if (i === 0) errors.push(excess(factors.values, values));
      }
      seconds.push(best);
    }
    const cost = svdCost(rows, cols, rank);
    const ratios = [seconds[0]! / seconds[1]!, cost.exact / cost.sketch].map((ratio) => ratio.toFixed(2)).join(', ');
    const times = seconds.map((time) => time.toFixed(3)).join(', ');
    console.log(
      `${rows} ${cols} ${rank} | ${times} | ${ratios} | ${errors.map((error) => error.toFixed(4)).join(', ')}`,
    );
  }
}
await backend.close();

/** The error of a truncation relative to the least possible, both from the energy that the values keep. */
function excess(found: Float64Array, truth: Float64Array): number {
  const energy = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0);
  return Math.sqrt((energy(truth) - energy(found)) / energy(truth.subarray(found.length)));
}
