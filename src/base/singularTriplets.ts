/** Leading singular triplets of an m x n matrix, W ~ left diag(values) right^T. */
export interface SingularTriplets {
  /** m x r, row-major, orthonormal columns. */
  readonly left: Float32Array;
  /** r of them, descending. */
  readonly values: Float64Array;
  /** n x r, row-major, orthonormal columns. */
  readonly right: Float32Array;
}

/** The first `rank` of the triplets. */
export function firstTriplets({ left, values, right }: SingularTriplets, rank: number): SingularTriplets {
  const count = values.length;
  const columns = (vectors: Float32Array) => {
    if (rank === count) return vectors;
    const rows = vectors.length / count;
    const out = new Float32Array(rows * rank);
    for (let row = 0; row < rows; row++) out.set(vectors.subarray(row * count, row * count + rank), row * rank);
    return out;
  };
  return { left: columns(left), values: values.slice(0, rank), right: columns(right) };
}
