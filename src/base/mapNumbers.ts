/** `of` each number. `Float64Array.from` takes four times as long. */
export function mapNumbers(values: ArrayLike<number>, of: (value: number) => number): Float64Array {
  const out = new Float64Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = of(values[i]!);
  return out;
}
