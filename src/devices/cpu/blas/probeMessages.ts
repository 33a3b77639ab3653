import type { Blas } from './blas.ts';

/** What a probe is started with, as JSON in its only argument. */
export interface ProbeTask {
  readonly path: string;
  readonly threads: number;
  readonly threading: Blas['threading'];
  /** Seconds that the kernels take for the trial product, if that is known. */
  readonly kernels?: number | undefined;
  /** Seconds to beat: if a first trial takes longer, there is no second. */
  readonly beat?: number | undefined;
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
  readonly multipliesInPlace: boolean;
  /** Seconds for the singular values of a trial matrix; the largest number if the library lost the product already. */
  readonly values: number;
}
