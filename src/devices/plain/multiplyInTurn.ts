import type { Backend } from '../backend.ts';

/** `Backend.multiplyInTurn` of a device that gains nothing by several products at once. */
export async function multiplyInTurn(
  multiply: Backend['multiply'],
  products: Parameters<Backend['multiplyInTurn']>[0],
  { signal }: Parameters<Backend['multiplyInTurn']>[1] = {},
): Promise<void> {
  for (const { out, a, b, ...form } of products) await multiply(out, a, b, { ...form, signal });
}
