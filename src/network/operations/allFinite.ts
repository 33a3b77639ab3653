/** Whether no value is NaN or infinite: zero times such a value is NaN, and so is every sum with it. */
export function allFinite(values: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += 0 * values[i]!;
  return sum === 0;
}
