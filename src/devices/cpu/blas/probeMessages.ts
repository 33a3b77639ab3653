import type { Blas } from './blas.ts';

/** What a probe is started with, as JSON in its only argument. */
export interface ProbeTask {
  readonly path: string;
  readonly threads: number;
  readonly threading: Blas['threading'];
  /** In a second trial, seconds that the kernels took for the product, and those to beat: else the trial ends there. */
  readonly again?: { readonly kernels: number; readonly beat?: number | undefined } | undefined;
}

/** What a probe is about to do. After a crash, the last one says what it was. */
export type ProbeStep = 'loading' | 'multiplying' | 'leaving';

export type ProbeMessage =
  | { readonly kind: 'step'; readonly step: ProbeStep }
  | { readonly kind: 'refused'; readonly reason: string }
  /** The library is not to blame. */
  | { readonly kind: 'failed'; readonly reason: string }
  | ({ readonly kind: 'proven' } & Proof);

export interface Proof {
  readonly symbol: string;
  readonly name: string;
  /** Seconds for the trial product with the library, and with the kernels. */
  readonly library: number;
  readonly kernels: number;
  /** Seconds for the product with the library on one thread alone; 0 in a second trial and if it brings its threads. */
  readonly alone: number;
  readonly multipliesInPlace: boolean;
  /** Seconds for the singular values of a matrix, in a second trial that did not lose the product already. */
  readonly values?: number | undefined;
}
