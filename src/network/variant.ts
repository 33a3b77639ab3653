import { weightOfModule } from '../model/names/moduleOfWeight.ts';
import type { StoredLinear } from './blocks/weights.ts';
import type { Network } from './network.ts';

/** A network that differs from the dense one in some matrices. */
export interface Variant {
  readonly name: string;
  /**
   * What stands in place of a matrix, by the name of its tensor in transformers. Called when the pass reaches it, so
   * that its factors need not be in memory before.
   */
  readonly replaced: ReadonlyMap<string, (signal: AbortSignal | undefined) => Promise<StoredLinear>>;
  /** All weights of the variant, which `replaced` then adds nothing to: those of another checkpoint of this network. */
  readonly network?: Network | undefined;
}

/** What a variant has in place of the matrix of a module; undefined if it has that of the network. */
export async function replacement(
  { prefix }: Network,
  variant: Variant | undefined,
  module: string | undefined,
  signal: AbortSignal | undefined,
): Promise<StoredLinear | undefined> {
  return module === undefined ? undefined : variant?.replaced.get(weightOfModule(prefix + module))?.(signal);
}

/** Two factors W' = B A. */
export interface Factors {
  /** m x r, row-major. */
  readonly b: Float32Array;
  /** r x n, row-major. */
  readonly a: Float32Array;
}

/** Factors of an m x n matrix in the form in which weights are read. */
export function linearOfFactors(name: string, [m, n]: readonly [number, number], { b, a }: Factors): StoredLinear {
  const rank = a.length / n;
  const factor = (rows: number, cols: number, values: Float32Array) => ({
    source: {
      name,
      rows,
      cols,
      async read(row: number, out: Float32Array) {
        out.set(values.subarray(row * cols, row * cols + out.length));
      },
    },
    transposed: false,
  });
  return { outputs: m, inputs: n, factors: [factor(rank, n, a), factor(m, rank, b)] };
}
