/** cap tanh(x / cap) of each entry, in place: keeps them within (-cap, cap) (Gemma 2). */
export function softCap(values: Float32Array, cap: number): void {
  for (let i = 0; i < values.length; i++) values[i] = cap * Math.tanh(values[i]! / cap);
}
