import type { Factors } from '../variant.ts';

/**
 * The same product with equal norms of column k of b and row k of a: a rate is then equally large for both. Zero
 * columns stay.
 * @param inputs columns of a
 */
export function balanced({ b, a }: Factors, inputs: number): Factors {
  const rank = a.length / inputs;
  const outputs = b.length / rank;
  const [left, right] = [b.slice(), a.slice()];
  for (let k = 0; k < rank; k++) {
    let [column, row] = [0, 0];
    for (let i = 0; i < outputs; i++) column += b[i * rank + k]! ** 2;
    for (let j = 0; j < inputs; j++) row += a[k * inputs + j]! ** 2;
    if (!(column > 0 && row > 0)) continue;
    const scale = (row / column) ** 0.25;
    for (let i = 0; i < outputs; i++) left[i * rank + k]! *= scale;
    for (let j = 0; j < inputs; j++) right[k * inputs + j]! /= scale;
  }
  return { b: left, a: right };
}
