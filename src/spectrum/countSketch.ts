import { seededRandom } from '../base/random.ts';
import type { RowSource } from '../devices/backend.ts';
import { eachSlab } from './eachSlab.ts';

/** A few hundred numbers that stand for a matrix: inner products of sketches estimate those of the matrices. */
export interface CountSketch {
  readonly values: Float64Array;
  /** ||W||_F^2, exactly. */
  readonly energy: number;
}

/** Standard deviation of a cosine that is estimated from two sketches: about 1.5 / sqrt(WIDTH). */
const WIDTH = 1024;

/**
 * Sketches of matrices of one shape, which can be compared with each other: entry (i, j) is added to place h(i) + g(j)
 * with the sign s(i) t(j), all of them random (Charikar, Chen and Farach-Colton 2002, with the hash of Pham and Pagh
 * 2013 for two indices). One pass over the matrix.
 */
export class CountSketches {
  private readonly rows: Hashes;
  private readonly cols: Hashes;

  /** @param shape of W (m x n), also where its transpose is stored. */
  constructor([m, n]: readonly [number, number]) {
    this.rows = hashes(m, 1);
    this.cols = hashes(n, 2);
  }

  async of(source: RowSource, transposed: boolean, signal: AbortSignal | undefined): Promise<CountSketch> {
    const { cols } = source;
    const [outer, inner] = transposed ? [this.cols, this.rows] : [this.rows, this.cols];
    const values = new Float64Array(WIDTH);
    let energy = 0;
    await eachSlab(source, signal, (row, slab) => {
      for (let i = 0, at = 0; at < slab.length; i++) {
        const place = outer.places[row + i]!;
        const sign = outer.signs[row + i]!;
        for (let j = 0; j < cols; j++, at++) {
          const value = slab[at]!;
          energy += value * value;
          values[(place + inner.places[j]!) & (WIDTH - 1)]! += sign * inner.signs[j]! * value;
        }
      }
    });
    return { values, energy };
  }
}

/** An estimate of <A, B> / (||A|| ||B||); 0 where one of them is zero. */
export function estimatedCosine(a: CountSketch, b: CountSketch): number {
  let inner = 0;
  for (let i = 0; i < WIDTH; i++) inner += a.values[i]! * b.values[i]!;
  const norms = Math.sqrt(a.energy) * Math.sqrt(b.energy);
  return norms > 0 ? inner / norms : 0;
}

interface Hashes {
  readonly places: Int32Array;
  readonly signs: Int8Array;
}

function hashes(count: number, seed: number): Hashes {
  const random = seededRandom(seed);
  const places = new Int32Array(count);
  const signs = new Int8Array(count);
  for (let i = 0; i < count; i++) {
    const word = Math.floor(random.uniform() * 2 ** 24);
    places[i] = word & (WIDTH - 1);
    signs[i] = word & (2 ** 20) ? 1 : -1;
  }
  return { places, signs };
}
