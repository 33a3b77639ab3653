import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import type { RowSource } from '../engine/backend.ts';

/** scale B A with B m x r and A r x n. */
export interface ThinProduct {
  readonly name: string;
  readonly outputs: number;
  readonly inputs: number;
  readonly rank: number;
  readonly scale: number;
  /** B and A, row-major. Called once. */
  load(signal: AbortSignal | undefined): Promise<{ readonly up: Float32Array; readonly down: Float32Array }>;
}

/** Multiplications of one piece of work. */
const PIECE = 2 ** 23;
/** Between two looks at the signal. */
const BREATH_MS = 20;

/**
 * An r x r matrix with the singular values of scale B A, which is never formed: with B = Q1 R1 and A^T = Q2 R2 the product is
 * Q1 (scale R1 R2^T) Q2^T, and orthonormal columns change no singular value (Bebendorf, "Hierarchical Matrices", 2008, section 1.1.4).
 * Costs 2 (m + n) r^2 multiplications. Both triangles are taken in f64: the rounding of a product is relative to ||B|| ||A||, which may be
 * far above ||B A||. Where r is above min(m, n), the values past the min(m, n)-th are zero.
 * @throws RankscopeError 'not-finite' for NaN or infinity in a factor.
 */
export function thinProductCore(product: ThinProduct): RowSource {
  const { name, rank, scale } = product;
  let triangles: Promise<readonly [Float64Array, Float64Array]> | undefined;
  return {
    name,
    rows: rank,
    cols: rank,
    async read(row, out, signal) {
      triangles ??= trianglesOf(product, signal);
      const [left, right] = await triangles;
      const breathe = breathing(signal, name);
      for (let i = 0; i < out.length / rank; i++) {
        await breathe();
        for (let j = 0; j < rank; j++) {
          let sum = 0;
          for (let k = Math.max(row + i, j); k < rank; k++) sum += left[k * rank + row + i]! * right[k * rank + j]!;
          out[i * rank + j] = scale * sum;
        }
      }
    },
  };
}

async function trianglesOf({ name, outputs, inputs, rank, load }: ThinProduct, signal: AbortSignal | undefined) {
  const { up, down } = await load(signal);
  const breathe = breathing(signal, name);
  refuseNotFinite(name, 'B', up, rank);
  refuseNotFinite(name, 'A', down, inputs);
  const left = await triangle(outputs, rank, (row, col) => up[row * rank + col]!, breathe);
  const right = await triangle(inputs, rank, (row, col) => down[col * inputs + row]!, breathe);
  return [left, right] as const;
}

/**
 * R (width x width, column-major) of the QR of a tall matrix, by Householder reflections of some rows at a time under the R so far (the
 * sequential TSQR of Demmel, Grigori, Hoemmen and Langou 2012). A reflection touches one row of R and the new rows only.
 */
async function triangle(
  height: number,
  width: number,
  entry: (row: number, col: number) => number,
  breathe: () => Promise<void>,
): Promise<Float64Array> {
  const r = new Float64Array(width * width);
  const most = Math.max(1, Math.min(height, Math.floor(PIECE / width ** 2)));
  const fresh = new Float64Array(width * most);
  for (let done = 0; done < height; done += most) {
    const count = Math.min(most, height - done);
    for (let col = 0; col < width; col++) for (let i = 0; i < count; i++) fresh[col * most + i] = entry(done + i, col);
    for (let j = 0; j < width; j++) {
      await breathe();
      reflect(r, fresh, width, most, count, j);
    }
  }
  return r;
}

/** Moves the new rows of column j into R's diagonal, and applies the reflection to the columns on its right. */
function reflect(r: Float64Array, fresh: Float64Array, width: number, stride: number, count: number, j: number): void {
  const v = j * stride;
  let tail = 0;
  for (let i = 0; i < count; i++) tail += fresh[v + i]! ** 2;
  if (tail === 0) return;
  const head = r[j * width + j]!;
  const norm = Math.sqrt(head * head + tail);
  const diagonal = head > 0 ? -norm : norm;
  const first = head - diagonal;
  const factor = 2 / (first * first + tail);
  r[j * width + j] = diagonal;
  for (let col = j + 1; col < width; col++) {
    const other = col * stride;
    const top = col * width + j;
    let dot = first * r[top]!;
    for (let i = 0; i < count; i++) dot += fresh[v + i]! * fresh[other + i]!;
    dot *= factor;
    r[top]! -= dot * first;
    for (let i = 0; i < count; i++) fresh[other + i]! -= dot * fresh[v + i]!;
  }
}

/** Lets others have their turn, and looks at the signal, whenever so much time has passed. */
function breathing(signal: AbortSignal | undefined, name: string): () => Promise<void> {
  let last = performance.now();
  throwIfCancelled(signal, name);
  return async () => {
    if (performance.now() - last < BREATH_MS) return;
    await new Promise(setImmediate);
    throwIfCancelled(signal, name);
    last = performance.now();
  };
}

function refuseNotFinite(name: string, factor: string, values: Float32Array, cols: number): void {
  const first = values.findIndex((value) => !Number.isFinite(value));
  if (first < 0) return;
  throw new RankscopeError(
    'not-finite',
    name,
    `entry [${Math.floor(first / cols)}, ${first % cols}] of its factor ${factor} is ${values[first]}`,
    'A matrix with NaN or infinity has no singular values: repair the checkpoint or leave this tensor out',
  );
}
