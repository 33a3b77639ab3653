import type { Backend } from './backend.ts';

/** Large enough to keep a GPU busy, small enough to be over in a moment on any processor. */
const SIZE = 1024;

/** Seconds of a 1024 x 1024 product with its result read back, the better of two after one to warm up. */
export async function trialSeconds(backend: Backend): Promise<number> {
  const [a, b, c] = [
    await backend.allocate(SIZE, SIZE),
    await backend.allocate(SIZE, SIZE),
    await backend.allocate(SIZE, SIZE),
  ];
  const fill = (out: Float32Array) => {
    out.forEach((_, i) => {
      out[i] = ((i * 7919) % 1000) / 1000 - 0.5;
    });
  };
  await backend.upload(a, 0, SIZE, fill);
  await backend.upload(b, 0, SIZE, fill);
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 3; run++) {
    const start = performance.now();
    await backend.multiply(c, a, b);
    await backend.download(c);
    if (run > 0) best = Math.min(best, (performance.now() - start) / 1000);
  }
  for (const matrix of [a, b, c]) backend.free(matrix);
  return best;
}
