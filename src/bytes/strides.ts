/** Row-major strides of `shape`, in elements. */
export function rowMajor(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i]!;
  }
  return strides;
}

/** Strides of Fortran order, in elements: the first index runs fastest. */
export function columnMajor(shape: readonly number[]): number[] {
  let step = 1;
  return shape.map((size) => {
    const stride = step;
    step *= size;
    return stride;
  });
}

/** Whether these strides are row-major without gaps; the strides of dimensions of size 1 do not matter. */
export function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  const plain = rowMajor(shape);
  return shape.includes(0) || shape.every((size, i) => size === 1 || strides[i] === plain[i]);
}

/** Whether no two elements share a place: each stride exceeds the extent of all smaller ones. */
export function isInjective(shape: readonly number[], strides: readonly number[]): boolean {
  let reach = 0;
  for (const { size, stride } of bySmallestStride(shape, strides)) {
    if (stride <= reach) return false;
    reach += (size - 1) * stride;
  }
  return true;
}

/** The dimensions with more than one element, from the smallest stride to the largest. */
export function bySmallestStride(shape: readonly number[], strides: readonly number[]) {
  return shape
    .map((size, dimension) => ({ size, stride: strides[dimension]!, dimension }))
    .filter(({ size }) => size > 1)
    .sort((a, b) => a.stride - b.stride);
}
