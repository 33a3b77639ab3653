/** The entries of a matrix, row-major: in f64 where they are the truth for tests. */
export type Values = Float32Array | Float64Array;
