/** Leading singular triplets of an m x n matrix, W ~ left diag(values) right^T. */
export interface SingularTriplets {
  /** m x r, row-major, orthonormal columns. */
  readonly left: Float32Array;
  /** r of them, descending. */
  readonly values: Float64Array;
  /** n x r, row-major, orthonormal columns. */
  readonly right: Float32Array;
}
