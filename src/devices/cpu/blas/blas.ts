/** A BLAS on this machine, proven in a process of its own before it is loaded into this one. */
export interface Blas {
  /** The shared library: an absolute path, or the name of a framework of the system. */
  readonly path: string;
  /** Its Fortran sgemm, for example `sgemm_` or `scipy_sgemm_64_`. */
  readonly symbol: string;
  /** What it calls itself, for example "OpenBLAS 0.3.30 (Zen)". */
  readonly name: string;
  /** Where it was found, in words: "NumPy of /usr/bin/python3". */
  readonly source: string;
  /**
   * Who splits a product: `workers` call the library side by side, each on its own tile and one thread; `library` lets
   * one worker call it on its own threads.
   */
  readonly threading: 'workers' | 'library';
  /** How many times as fast as the kernels a product was; unknown before that was measured. */
  readonly timesAsFast?: number;
  /** Whether it multiplies small matrices where they lie, faster than larger ones, which it copies first. */
  readonly multipliesInPlace?: boolean;
}
